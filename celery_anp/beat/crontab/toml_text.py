"""Writes TOML entries: texts, numbers, lists of them and flat tables, which is all that a converted crontab needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def table(kind: str, entry: Mapping[str, Any]) -> str:
    """One entry of an array of tables.

    Args:
        kind: the array's name, such as "schedule".
        entry: keys and values: str, int, a list of them, or a dict of str.

    Returns:
        TOML text that ends with a line break.
    """
    return f"[[{kind}]]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in entry.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return str(value) if isinstance(value, int) else _text(str(value))


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda sign: f"\\u{ord(sign[0]):04x}", escaped) + '"'
