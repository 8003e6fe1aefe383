"""Many schedules that are all due in the same minute, each with a cron line of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MONTHS, DAYS = range(1, 13), range(7)


def lines(count: int, due: int) -> Iterator[dict[str, str]]:
    """Cron fields that all name one minute, and differ in the other months and weekdays that they name.

    Args:
        count: how many; different ones up to 131,072.
        due: that minute, epoch seconds.

    Yields:
        The fields by Celery's names.
    """
    moment = datetime.fromtimestamp(due, UTC)
    for number in range(count):
        months = _with(moment.month, MONTHS, number % 2048)
        days = _with((moment.weekday() + 1) % 7, DAYS, number // 2048)
        yield {"minute": str(moment.minute), "hour": str(moment.hour), "month_of_year": months, "day_of_week": days}


def _with(one: int, choices: range, mask: int) -> str:
    others = [choice for choice in choices if choice != one]
    return ",".join(str(n) for n in sorted([one, *(n for bit, n in enumerate(others) if mask >> bit & 1)]))


def toml(count: int, due: int, file: Path) -> None:
    """The schedules as we declare them."""
    with file.open("w", encoding="utf-8") as out:
        for number, at in enumerate(lines(count, due)):
            cron = f"{at['minute']} {at['hour']} * {at['month_of_year']} {at['day_of_week']}"
            out.write(
                f'[[schedule]]\nname = "s{number}"\ntask = "bench.noop"\ncron = {json.dumps(cron)}\n'
                f"input = {{ x = {number} }}\n\n"
            )


def beat_schedule(count: int, due: int) -> dict[str, dict[str, Any]]:
    """The same schedules as Celery declares them."""
    from celery.schedules import crontab

    return {
        f"s{number}": {"task": "plain.noop", "schedule": crontab(**at), "args": (number,)}
        for number, at in enumerate(lines(count, due))
    }
