"""`python -m celery_anp`, the same as `anp`."""

from celery_anp.cli.entry import main

main()
