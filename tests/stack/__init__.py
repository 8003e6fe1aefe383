"""The stack in real containers.

Most tests here use the compose file that ships, as one project for all of them (`compose.py`), because that file is
what is promised. `test_pytest_celery.py` takes our image alone, as the worker of pytest-celery, for a producer that
knows nothing of anp. It and `test_tls.py` start a Redis of their own.
"""
