"""All schedules there are, checked against the tasks there are. One error tells all that is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from celery.utils.log import get_logger
from pydantic import ValidationError

from celery_anp import duration
from celery_anp.beat.problem import Problem, from_validation, refusal, shown, unknown_key
from celery_anp.beat.reading import entries, takeover
from celery_anp.beat.reading.entries import Entry, Nothing
from celery_anp.beat.schedule import NOT_DECLARED, Schedule
from celery_anp.contract.canonical import canonical, text
from celery_anp.contract.complete import guarded_tasks
from celery_anp.errors import BadDeclaration, BadInput, did_you_mean
from celery_anp.settings import settings

log = get_logger(__name__)


class Catalog(Mapping[str, Schedule]):
    """The schedules by name.

    Args:
        schedules: each with a name of its own.
        emptied: a file says that it has none on purpose.
    """

    def __init__(self, schedules: Sequence[Schedule], *, emptied: bool = False) -> None:
        self.emptied = emptied
        self._by_name = {schedule.name: schedule for schedule in schedules}

    def __getitem__(self, name: str) -> Schedule:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    @cached_property
    def digest(self) -> str:
        """A short digest of what is declared, wherever it is declared and in whichever order."""
        content = hashlib.sha256()
        for name in sorted(self):
            form = canonical(self[name], self[name].model_dump(mode="json", exclude={"file"}))
            content.update(text(form).encode() + b"\n")
        return content.hexdigest()[:16]


def load(paths: Sequence[Path], app: Any) -> Catalog:
    """Reads and checks every schedule of some files and of the app's `beat_schedule`.

    Args:
        paths: files and folders.
        app: the Celery app; all its task modules are loaded.

    Returns:
        The schedules, with owner, expects and rollback filled in from their tasks.

    Raises:
        BadDeclaration: something is wrong; the message tells all of it, with file, entry and hint.
        LostSchedules: nothing else is wrong than that files are empty or gone.
    """
    reader = _Reader(guarded_tasks(app), app.tasks)
    for found in entries.files(paths):
        reader.take(iter([found]) if isinstance(found, Problem) else entries.read(found))
    reader.take_over(takeover.entries(app))
    return Catalog(reader.finish(), emptied=reader.emptied)


def last_good(live: Mapping[str, str], app: Any) -> Catalog:
    """The schedules that are live, as the ledger knows them.

    Args:
        live: by schedule how it is declared, JSON.
        app: the Celery app; all its task modules are loaded.

    Raises:
        BadDeclaration: the app has not all of their tasks any more.
    """
    found = (Schedule.model_validate_json(text) for text in live.values())
    known = [one for one in found if one.asks is None]  # whose own object is gone cannot be asked
    missing = sorted({one.task for one in known if not one.by_name} - set(app.tasks))
    if missing:
        given = f"no {', '.join(missing)}"
        raise BadDeclaration(
            "The schedules that are live cannot go on", expected="an app with their tasks", given=given
        )
    return Catalog(known)


class _Reader:
    """Collects the schedules and, beside them, everything that is wrong."""

    def __init__(self, guarded: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        self.guarded, self.known = guarded, known
        self.schedules: dict[str, Schedule] = {}
        self.problems: list[Problem] = []
        self.emptied = False

    def take(self, found: Iterator[Entry | Nothing | Problem]) -> None:
        for one in found:
            if isinstance(one, Problem):
                self.problems.append(one)
            elif isinstance(one, Nothing):
                self.emptied = True
            else:
                self._entry(one)

    def take_over(self, found: Iterator[Entry | Problem]) -> None:
        """Take the entries of `beat_schedule`: as in Celery's beat one that cannot run keeps no other from running."""
        before = self.problems
        for one in found:
            self.problems = []
            self.take(iter([one]))
            left_out, self.problems = self.problems, []
            if settings().beat_entries == "strict":
                before += left_out
            elif left_out:
                log.error("beat: left out, all others run: %s", "; ".join(map(str, left_out)))
        self.problems = before

    def finish(self) -> list[Schedule]:
        for schedule in self.schedules.values():
            self.problems += _renamed_wrongly(schedule, self.schedules)
        if self.problems:
            raise refusal(self.problems)
        return list(self.schedules.values())

    def _entry(self, entry: Entry) -> None:
        task = self._task(entry)
        schedule = self._schedule(entry)
        if schedule is None:
            return
        found = len(self.problems)
        self._duplicate(entry, schedule)
        self.problems += _kept_too_short(entry, schedule)
        if task is not None:
            schedule = _described(schedule, task)
            self.problems += _wrong_input(entry, schedule, task)
            self.problems += _undescribed(entry, schedule)
        if entry.declared or found == len(self.problems):
            self.schedules.setdefault(schedule.name, schedule)

    def _schedule(self, entry: Entry) -> Schedule | None:
        hidden = entry.raw.keys() & NOT_DECLARED if entry.declared else set()
        self.problems += [unknown_key(entry.file, entry.label, key) for key in sorted(hidden)]
        visible = {key: value for key, value in entry.raw.items() if key not in hidden}
        try:
            return Schedule.model_validate({**visible, "file": entry.file})
        except ValidationError as error:
            self.problems += from_validation(entry.file, entry.label, error)
            return None

    def _task(self, entry: Entry) -> Any:
        """The guarded task; None for a plain Celery task, and for one that cannot be used, which is noted."""
        name = entry.raw.get("task")
        if not isinstance(name, str) or name in self.guarded:
            return self.guarded.get(str(name))
        if not entry.declared:
            if name not in self.known:
                hint = did_you_mean(name, self.known)
                log.warning("beat: %s goes out by name, its task %s is not registered here.%s", entry.label, name, hint)
            return None
        if name in self.known:
            failed, hint = (
                "the task is not guarded",
                "a guarded task; celery_anp.guard(app) guards all of an app",
            )
        else:
            failed = f"there is no such task.{did_you_mean(name, self.guarded)}"
            hint = "a task of a module that is loaded (ANP_TASKS)"
        self.problems.append(Problem(entry.file, entry.label, failed, hint, shown(name)))
        return None

    def _duplicate(self, entry: Entry, schedule: Schedule) -> None:
        if (first := self.schedules.get(schedule.name)) is None:
            return
        failed = f"the name is declared twice: in {first.file} and in {schedule.file}"
        self.problems.append(Problem(entry.file, entry.label, failed, expected="a name of its own"))


def _described(schedule: Schedule, task: Any) -> Schedule:
    """Owner, expected result and rollback note: the schedule's word, else its task's."""
    from_task = {
        "owner": task.owner or None,
        "expects": task.expects or None,
        "rollback": task.rollback_said,
    }
    filled = {key: value for key, value in from_task.items() if getattr(schedule, key) is None}
    return schedule.model_copy(update={**filled, "secrets": task.contract.secrets})


def _undescribed(entry: Entry, schedule: Schedule) -> list[Problem]:
    missing = [key for key in ("owner", "expects", "rollback") if entry.declared and not getattr(schedule, key)]
    expected = "it in the schedule or in its task"
    return [Problem(entry.file, entry.label, f"{key} is missing", expected) for key in missing]


def _wrong_input(entry: Entry, schedule: Schedule, task: Any) -> list[Problem]:
    try:
        task.validate_input(schedule.args, schedule.input)
    except BadInput as error:
        failed = f"input does not fit {schedule.task}: {error.failed}"
        return [Problem(entry.file, entry.label, failed, error.expected, error.given)]
    return []


def _kept_too_short(entry: Entry, schedule: Schedule) -> list[Problem]:
    kept = int(settings().keep_days * 86_400)
    if schedule.catchup == "skip" or schedule.catchup_window < kept:
        return []
    expected = f"less than ANP_KEEP_DAYS, which is {duration.text(kept)}: older ticks are forgotten"
    given = duration.text(schedule.catchup_window)
    return [Problem(entry.file, entry.label, "catchup_window cannot be used", expected, given)]


def _renamed_wrongly(schedule: Schedule, schedules: Mapping[str, Schedule]) -> list[Problem]:
    old = schedule.renamed_from
    if old is None:
        return []
    heirs = sorted(name for name, other in schedules.items() if other.renamed_from == old)
    if old in schedules:
        failed, given = (
            "renamed_from cannot be used",
            f"{old!r}, which is still declared in {schedules[old].file}",
        )
    elif len(heirs) > 1:
        failed, given = "renamed_from cannot be used", f"{old!r}, also by {', '.join(heirs)}"
    else:
        return []
    return [Problem(schedule.file, schedule.name, failed, "an old name that one schedule takes over", given)]
