"""What anp costs and how quick it is, beside plain Celery and its peers: `python -m tests.bench [names…] [--quick]`.

Limit: every figure is a ratio of two measurements taken in turns in one run on one machine. It says nothing about
another machine's absolute times, and on a busy machine the spread beside it says how far to trust it.
"""
