"""A step: something that can happen now."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.model.moment import Moment


class Step(NamedTuple):
    """A label for the trace, and the change."""

    label: str
    act: Callable[[Moment], None]
    #: a fault or an operator's request: it may happen, but nothing may depend on it
    chosen: bool = False
