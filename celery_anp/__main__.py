"""`python -m celery_anp`, the same as `anp`."""

from celery_anp.cli.main import main

main()
