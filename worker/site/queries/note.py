"""The note of a migration: the template, filled in with each watched query before and after."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from string import Template

from worker.site.queries.compare import Compared
from worker.site.queries.plan import Plan

TEMPLATE = "migration.md"


def note(title: str, database: str, compared: Sequence[Compared], now: datetime) -> str:
    """A migration note in Markdown.

    Args:
        title: what is migrated.
        database: its address, without a password.
        compared: the watched queries, then and now.
        now: when that was.
    """
    taken = [one.taken_at for one in compared if one.taken_at]
    template = Template(resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8"))
    return template.substitute(
        title=title,
        date=_day(now),
        database=database,
        taken=_day(min(taken)) if taken else "none: there was no baseline",
        table="\n".join(_table(compared)),
        plans="\n".join(line for one in compared for line in _plans(one)),
        findings="\n".join(_findings(compared)) or "Nothing.",
    )


def _table(compared: Sequence[Compared]) -> list[str]:
    head = ["| query | read before | read after | ms before | ms after | |", "|---|---|---|---|---|---|"]
    return head + [
        f"| {one.query} | {_read(one.before)} | {_read(one.now)} | {_time(one.before)} | {_time(one.now)} |"
        f" {'**worse**' if one.findings else 'fine' if one.before else 'new'} |"
        for one in compared
    ]


def _plans(one: Compared) -> list[str]:
    before = one.before.told() if one.before else "unknown"
    if before == one.now.told():
        return [f"- **{one.query}**, as before: {before}"]
    return [f"- **{one.query}**", f"  - before: {before}", f"  - after: {one.now.told()}"]


def _findings(compared: Sequence[Compared]) -> list[str]:
    found = [finding for one in compared for finding in one.findings]
    mends = list(dict.fromkeys(finding.add for finding in found if finding.add))
    lines = [f"- **{finding.query}**, {finding.kind}: {finding.said}" for finding in found]
    return lines + (["", "What mends it:", "", *(f"    {mend};" for mend in mends)] if mends else [])


def _read(plan: Plan | None) -> str:
    return f"{plan.read:,.4g} {plan.unit}" if plan else "-"


def _time(plan: Plan | None) -> str:
    return f"{plan.seconds * 1000:.2f}" if plan else "-"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%MZ}"
