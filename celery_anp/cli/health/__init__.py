"""`anp health`: does one part work."""
