"""What is told outside is cleared of secrets: the values of secret input, and passwords and tokens in addresses.

Limit: a secret is known by the type of its field or by its place in an address; one printed otherwise passes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from worker.reliability.run import HIDDEN

_LOGIN = re.compile(r"(?<=://)[^\s/@]+@")
_PARAMETER = re.compile(
    r"([?&][\w-]*(?:token|key|secret|passwo?r?d|signature|sig|auth)[\w-]*=)[^&\s'\"]+", re.IGNORECASE
)
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)


def cleared(text: str, message: str = "") -> str:
    """A text without secrets.

    Args:
        text: why a run failed.
        message: the run's message as its row keeps it; empty where there is none.

    Returns:
        The text with "(secret)" in the place of each.
    """
    for value in sorted(set(_secrets(message)), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    text = _LOGIN.sub(f"{HIDDEN}@", text)
    text = _PARAMETER.sub(rf"\1{HIDDEN}", text)
    return _BEARER.sub(rf"\1 {HIDDEN}", text)


def _secrets(message: str) -> Iterator[str]:
    held: dict[str, Any] = json.loads(message) if message else {}
    given = (held.get("body") or [[], {}])[1]
    for name in held.get("headers", {}).get("anp_secret", ()):
        yield from _texts(given.get(name))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
