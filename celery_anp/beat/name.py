"""A schedule's name as ids and keys hold it.

A tick's run id is `<name>@<due time>`, so a name has no `@` of its own; nor what parts fields elsewhere, breaks a URL,
or cannot be seen. What Celery allows beyond that is written as in a URL: `%40` for `@`.
"""

from __future__ import annotations

import re
from hashlib import blake2b

#: Characters of the longest name.
LONGEST = 200
_PLAIN = r"[^\s\p{C}@#|?\\%]"
_WRITTEN = r"%[0-9A-F]{2}"
#: As pydantic reads it; it does not begin with `-`, which a command line would take for an option.
PATTERN = rf"^([^\s\p{{C}}@#|?\\%-]|{_WRITTEN})((({_PLAIN}|{_WRITTEN}| ){{0,{LONGEST - 2}}})({_PLAIN}|{_WRITTEN}))?$"


def escaped(name: str) -> str:
    """A name with what it may not hold written as `%` and two digits for each byte; as it is where it holds nothing.

    Args:
        name: any text.

    Returns:
        A name of its own for each text: one too long ends with a digest of the whole.
    """
    last = len(name) - 1
    written = "".join(
        part
        if _fits(part) and not (part == "-" and place == 0) and not (part == " " and place in (0, last))
        else _bytes(part)
        for place, part in enumerate(name)
    )
    if len(written) <= LONGEST:
        return written
    digest = blake2b(name.encode(errors="surrogatepass"), digest_size=4).hexdigest()
    return f"{re.sub('%.?$', '', written[: LONGEST - 9]).rstrip()}~{digest}"


def _fits(part: str) -> bool:
    return part.isprintable() and part not in "@#|?\\%"


def _bytes(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode(errors="surrogatepass"))
