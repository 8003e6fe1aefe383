"""`anp up`: the whole stack on this machine, and its live table."""
