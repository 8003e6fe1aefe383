"""The commands that this deployment adds to `anp`."""
