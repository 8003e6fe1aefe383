"""`python -m worker.cli`, the same as `anp`."""

from worker.cli.main import main

main()
