"""`anp schedules`: one file for each thing that can be done."""
