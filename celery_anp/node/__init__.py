"""In the main process: the lease, what its children do, and upkeep."""
