"""Which node this process belongs to.

The node's id stands in memory that a worker's main process and its children share, so that children learn a new id
without a message.
"""

from __future__ import annotations

import mmap

_SIZE = 64
_slot = mmap.mmap(-1, _SIZE)


def current() -> str:
    """The id of the node that this process belongs to; empty before it has one."""
    return _slot[:_SIZE].rstrip(b"\0").decode()


def become(node: str) -> None:
    """Give this process tree its id."""
    _slot[:_SIZE] = node.encode().ljust(_SIZE, b"\0")


def begin_tree() -> None:
    """This process and its future children are a tree of their own: what it was forked from keeps its id.

    The beat of `celery worker -B` is forked from the worker: in the same memory its id would become the worker's, whose
    children would begin their runs under a node that does not know them.
    """
    global _slot  # noqa: PLW0603  memory that two forked processes share cannot be one name in both
    _slot = mmap.mmap(-1, _SIZE)
