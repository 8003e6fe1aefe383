"""What is promised, while things die: a table of the steps of a run and the faults that hit it there."""
