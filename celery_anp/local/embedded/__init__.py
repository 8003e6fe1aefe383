"""A Redis of our own, for `anp up` and the tests: nothing installed beforehand, nothing left behind."""

from celery_anp.local.embedded.binary import find_server, version
from celery_anp.local.embedded.server import RedisServer

__all__ = ["RedisServer", "find_server", "version"]
