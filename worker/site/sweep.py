"""Removing very many keys by their beginning, without holding up who reads the cache meanwhile.

Redis itself looks and removes, in bounded batches: no name travels, and between two batches others are served.
Limit: a key that comes while it goes on may stay, as with every SCAN.
"""

from __future__ import annotations

import time
from typing import Any

from celery_anp.errors import Refused
from worker.site.object_cache import script

#: Keys that one batch looks at, about; a batch takes Redis less than a millisecond.
BATCH = 500
#: Seconds of rest after a batch, at most; as long as the batch took otherwise, so that half of Redis' time is others'.
LONGEST_REST = 0.002
_PATTERN = frozenset("*?[]\\^")


def sweep(client: Any, root: str, beginning: str) -> int:
    """Remove every key below a root that begins with something.

    Args:
        client: a redis client.
        root: of the site's keys, with its closing colon.
        beginning: what comes after it; never a pattern.

    Returns:
        Keys removed.

    Raises:
        Refused: a pattern, or a root that is none.
        redis.RedisError: the cache does not answer.
    """
    if not root.endswith(":") or len(root) < 2 or _PATTERN & set(root + beginning):
        raise Refused("This would reach keys of others", expected="a beginning, no pattern", given=root + beginning)
    batch = client.register_script(script("sweep"))
    cursor, removed = b"0", 0
    while True:
        began = time.perf_counter()
        cursor, count = batch(keys=[], args=[cursor, f"{root}{beginning}*", BATCH])
        removed += int(count)
        if cursor in (b"0", "0"):
            return removed
        time.sleep(min(time.perf_counter() - began, LONGEST_REST))
