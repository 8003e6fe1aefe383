"""A group of commands of which each is imported when it is called, so that the small ones stay small."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from celery_anp.errors import UnknownName, did_you_mean

#: What stands behind these is for Celery, or for Flower.
FURTHER = frozenset({"worker", "beat", "flower"})


class Lazy(TyperGroup):
    """Made by deriving from it."""

    #: By name `module:attribute` of a function, or of a typer app.
    at: ClassVar[Mapping[str, str]] = {}

    def table(self) -> Mapping[str, str]:
        """All of them, in the order of the help."""
        return self.at

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  click's signature
        """All names."""
        return list(self.table())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  click's signature
        """One command, imported now.

        Raises:
            UnknownName: there is no such one.
        """
        where = self.at.get(cmd_name) or self.table().get(cmd_name)
        if where is None:
            hint = did_you_mean(cmd_name, self.table())
            raise UnknownName(f"There is no command {cmd_name!r}.{hint}", expected="one that `--help` shows")
        return _loaded(cmd_name, where)


def _loaded(name: str, where: str) -> Any:
    module, _, attribute = where.partition(":")
    found = getattr(import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        options = {"allow_extra_args": True, "ignore_unknown_options": True} if name in FURTHER else {}
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
        alone.command(name, context_settings=options)(found)
        found = alone
    command = typer.main.get_command(found)
    command.name = name
    return command
