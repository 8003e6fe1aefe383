"""One form of a value, whichever process looks at it: for the names of locks, and the digests of inputs and schedules.

A set has no order, and each process iterates it in another one; a dict has the order in which it was filled; 2 and 2.0,
or noon in Berlin and the same moment in UTC, are equal. Equal values have one form here.

JSON alone does not say what was a set, and the value alone not what its own serializer makes of it: so both are read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import deque
from collections.abc import Mapping, Set
from datetime import UTC, datetime
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any

from pydantic import BaseModel, RootModel
from pydantic_core import to_jsonable_python

#: Characters of a lock's name; a longer one is cut, and told apart by a digest.
LOCK = 250
#: Places beside the point from which on a number is written with an exponent.
LONG = 40


def canonical(value: Any, plain: Any) -> Any:
    """The canonical form of a value.

    Args:
        value: a value as a body gets it.
        plain: the same as JSON has it, its parts in the order of the value's.

    Returns:
        JSON: keys and the members of sets sorted, whole numbers without a fraction, times in UTC.
    """
    value = value.root if isinstance(value, RootModel) else value
    if isinstance(plain, dict):
        held = _by_key(value, plain)
        return {key: canonical(held.get(key, plain[key]), plain[key]) for key in sorted(plain)}
    if isinstance(plain, list | tuple):
        same = isinstance(value, list | tuple | deque | Set) and len(value) == len(plain)
        parts = [canonical(*pair) for pair in zip(value if same else plain, plain, strict=True)]
        return sorted(parts, key=text) if isinstance(value, Set) else parts
    return _scalar(value, plain)


def of(value: Any) -> Any:
    """The canonical form of a value that no annotation describes.

    Raises:
        ValueError: it holds itself.
    """
    return canonical(value, to_jsonable_python(value, bytes_mode="base64", fallback=_own_json))


def text(form: Any) -> str:
    """A canonical form in one line."""
    return json.dumps(form, sort_keys=True)


def lock_name(filled: str) -> str:
    """The name of a lock as every process writes it: what cannot be printed is escaped, what is too long is cut."""
    said = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in filled)
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    return said if len(said) <= LOCK else f"{said[: LOCK - 17]}…{digest}"


def _by_key(value: Any, plain: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parts of a value by the keys that they have in its JSON."""
    if isinstance(value, Mapping):
        return dict(zip(plain, value.values(), strict=True)) if len(value) == len(plain) else {}
    if isinstance(value, BaseModel):
        fields = {
            field.serialization_alias or field.alias or name: name for name, field in type(value).model_fields.items()
        }
        return {key: getattr(value, fields.get(key, key), part) for key, part in plain.items()}
    if dataclasses.is_dataclass(value):
        return {key: getattr(value, key, part) for key, part in plain.items()}
    return {}


def _scalar(value: Any, plain: Any) -> Any:
    if isinstance(plain, float) and plain.is_integer():
        return int(plain)
    if isinstance(value, Decimal) and plain == str(value) and value.is_finite():
        return _plainly(value)
    if isinstance(value, datetime) and value.tzinfo and plain == to_jsonable_python(value):
        return to_jsonable_python(value.astimezone(UTC))
    return plain


def _plainly(number: Decimal) -> str:
    """Without zeros at its end; never rounded, and with an exponent only where it would be long without."""
    whole = Context(prec=len(number.as_tuple().digits), Emax=MAX_EMAX, Emin=MIN_EMIN)
    exact = number.normalize(whole)
    if not exact:
        return "0"
    return format(exact, "f") if abs(exact.adjusted()) < LONG else str(exact)


def _own_json(value: Any) -> Any:
    """As kombu sends what has a JSON of its own; whatever else cannot be sent is told so when it is."""
    return value.__json__() if hasattr(value, "__json__") else str(type(value))
