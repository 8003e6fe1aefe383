"""How deep a value is nested: what is too deep cannot be handed from one process to another."""

from __future__ import annotations

from typing import Any


def is_nested(value: Any, most: int) -> bool:
    """Whether lists and mappings stand within each other more than so often.

    Args:
        value: JSON values; nothing in it may hold itself.
        most: levels.
    """
    level = [value]
    for _ in range(most + 1):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return False
    return True


def _parts(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()
