"""typer gives every parameter an adapter of pydantic's, also one whose value is a text already: its import costs more
than the command. Here a value that has its type passes, and only another one meets the adapter.

Limit: it stands in the place of a function of typer 0.29's; a typer without one is left as it is, and only slower.
"""

from __future__ import annotations

from types import NoneType
from typing import Any, get_args

from typer import core

_build = getattr(core, "build_runtime_param", None)


class Passing:
    """How the values of one parameter come by their type.

    Args:
        descriptor: what typer knows of its type.
    """

    def __init__(self, descriptor: Any) -> None:
        self._descriptor = descriptor
        self._passes = {NoneType, descriptor.annotation, *get_args(descriptor.annotation)}

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value, in the parameter's type.

        Args:
            value: a word of the command line, or the default.
            param: typer's parameter.
            ctx: click's context.
        """
        if type(value) in self._passes:
            return value
        assert _build is not None
        return _build(self._descriptor).coerce(value, param=param, ctx=ctx)


def lighten() -> None:
    """For every command of this process."""
    if _build is not None:
        vars(core)["build_runtime_param"] = Passing
