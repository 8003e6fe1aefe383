"""Inputs that are equal and look different, for a process of its own: prints their locks and digests as JSON.

Run with the number of places by which what has no order is turned.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

from pydantic import BaseModel, RootModel

from celery_anp.beat.adoption import declaration
from celery_anp.beat.catalog import Catalog
from celery_anp.beat.schedule import Schedule
from celery_anp.contract.signature import Contract

NAMES = ["berlin", "rome", "tokyo", "lima", "oslo", "cairo", "quito"]


class Colour(Enum):
    """Members of a set."""

    RED = "red"
    BLUE = "blue"
    GREEN = "green"


class Site(BaseModel, frozen=True):
    """A member of a set that has one itself."""

    name: str
    tags: frozenset[str] = frozenset()


@dataclass
class Plan:
    """A dataclass that holds both."""

    sites: set[str]
    weights: dict[str, float]


class Tags(RootModel[set[str]]):
    """A set by another name."""


def turned(names: list[Any], by: int) -> list[Any]:
    return names[by % len(names) :] + names[: by % len(names)]


def typed(  # noqa: PLR0917  one for each kind of field
    sites: set[str],
    nested: dict[str, set[str]],
    groups: frozenset[frozenset[str]],
    colours: set[Colour],
    models: set[Site],
    plan: Plan,
    tags: Tags,
    days: set[date],
    amount: Decimal,
    share: float,
    when: datetime,
    anything: Any,
    listed: list[set[int]],
) -> None:
    """Takes everything that has no order, or more forms than one."""


def untyped(first, *rest, sites=None, **more):  # type: ignore[no-untyped-def]
    """Takes the same without a word about it."""


def given(by: int) -> dict[str, Any]:
    """One input; equal for each number of places."""
    names, odd = turned(NAMES, by), by % 2
    zone = timezone(timedelta(hours=by % 12))
    return {
        "sites": set(names), "nested": {name: set(names) for name in names},
        "groups": frozenset(frozenset(turned(names, n)[:3]) for n in range(7)), "colours": set(Colour),
        "models": {Site(name=name, tags=frozenset(names)) for name in names},
        "plan": Plan(set(names), dict.fromkeys(names, 1 if odd else 1.0)), "tags": set(names),
        "days": {date(2026, 1, 1 + n) for n in turned(list(range(9)), by)},
        "amount": [Decimal("1.50"), "1.5", 1.5, Decimal("15E-1")][by % 4], "share": 2 if odd else 2.0,
        "when": datetime(2026, 1, 1, 12, tzinfo=UTC).astimezone(zone),
        "anything": {name: {"tags": set(names)} for name in names}, "listed": [{1, 2, 300, -4}, {5}],
    }  # fmt: skip


def forms(by: int) -> dict[str, str]:
    """Locks and digests of that input, and of a catalog that holds sets."""
    contract, loose = Contract("typed", typed), Contract("untyped", untyped)
    checked = contract.check((), given(by))
    found = {name: contract.fill("l:{" + name + "}", checked.fields) for name in checked.fields}
    names = turned(NAMES, by)
    bare = loose.check((set(names), {n: {n} for n in names}), {"sites": set(names), "more": {"a": set(names)}})
    schedule = Schedule(name="s", task="t", every=5, input={"sites": set(names)}, args=(set(names),))
    return found | {
        "digest": checked.digest(), "untyped": bare.digest(), "untyped lock": loose.fill("{sites}", bare.fields),
        "catalog": Catalog([schedule]).digest, "declaration": declaration(schedule),
    }  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(json.dumps(forms(int(sys.argv[1]))))
