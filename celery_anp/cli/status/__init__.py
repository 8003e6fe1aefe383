"""`anp status`: four answers."""
