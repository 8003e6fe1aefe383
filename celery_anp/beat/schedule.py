"""One [[schedule]] entry: when a task runs, with which input, and what happens to a tick that cannot run."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from celery_anp import duration
from celery_anp.beat import cron as cron_line
from celery_anp.beat import name as names
from celery_anp.beat import zone
from celery_anp.beat.cron import Cron

#: A run id is `<schedule>@<time>` or `<task>#<key>`: a name must not look like either.
Name = Annotated[str, Field(pattern=names.PATTERN)]
Text = Annotated[str, Field(min_length=1, max_length=500)]
#: Written as a duration, held in whole seconds.
Duration = Annotated[int, BeforeValidator(duration.seconds)]

#: Set by whoever reads an entry; refused as a key of a declaration.
NOT_DECLARED = frozenset({
    "file", "args", "options", "both_days", "secrets", "every_ms", "asks", "own", "expires", "expires_at", "countdown",
    "eta", "by_name",
})  # fmt: skip


class Schedule(BaseModel):
    """When a task runs. Checked when built; pydantic's error names the field and what was expected."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    #: Unique among all schedules; part of each tick's run id.
    name: Name
    #: Name of the task.
    task: Text
    #: Whether cron has a sixth, last field for seconds.
    seconds: bool = False
    #: Whether cron's two day fields must both fit, as in Celery's crontab; not a key of a declaration.
    both_days: bool = False
    #: Seconds between two ticks, counted from the epoch.
    every: Duration | None = None
    #: Milliseconds between two ticks, where an entry of `beat_schedule` has no whole seconds.
    every_ms: Annotated[int, Field(ge=1)] | None = None
    #: What its own schedule object calls itself, where that decides its ticks.
    asks: Text | None = None
    #: That object; only the beat that read it has it.
    own: Any = Field(default=None, exclude=True, repr=False)
    #: A cron line in normal form; exactly one of these timings is set.
    cron: str | None = Field(default=None, validate_default=True)
    #: IANA name of the zone whose clock cron follows.
    timezone: str = "UTC"
    #: The task's input by field name.
    input: dict[str, Any] = {}
    #: Who answers for it; from the task if None.
    owner: Text | None = None
    #: What is true after a good run; from the task if None.
    expects: Text | None = None
    #: How a bad run is undone; from the task if None.
    rollback: Text | None = None
    #: What happens to a tick whose lock is taken.
    overlap: Literal["skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"] = "skip"
    #: Most ticks that wait under buffer_all.
    overlap_limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    #: Which missed ticks are run after a stop.
    catchup: Literal["skip", "latest", "all"] = "latest"
    #: Seconds that catch-up looks back.
    catchup_window: Duration = 3_600
    #: Most ticks that one catch-up runs.
    catchup_limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    #: Seconds by which a tick may start later, fixed per tick.
    jitter: Duration = 0
    #: Seconds after its due time at which a tick that has not begun expires; never if None.
    start_deadline: Duration | None = None
    #: Seconds after its due time at which a tick without success is late; never if None.
    late_after: Duration | None = None
    #: False: declared, but no tick is planned.
    enabled: bool = True
    #: Queue of its runs; the task's if None.
    queue: Annotated[str, Field(pattern=r"^[^\s\p{C}|]{1,200}$")] | None = None
    #: 0 is served first, 9 last; the task's if None.
    priority: Annotated[int, Field(ge=0, le=9)] | None = None
    #: Failures in a row after which it pauses; never if None.
    pause_after: Annotated[int, Field(ge=1, le=1_000)] | None = None
    #: Where start, success and failure are pinged.
    ping_url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    #: The name it had: cursor and pause are carried over.
    renamed_from: Name | None = None

    #: File that declares it.
    file: str = ""
    #: Seconds after its planning at which a tick's run expires, as `expires` of a beat entry says; never if None.
    expires: float | None = None
    #: Epoch seconds at which every tick's run expires; never if None.
    expires_at: float | None = None
    #: Seconds that a tick's run waits after its planning.
    countdown: float = 0
    #: Epoch seconds before which no tick's run begins.
    eta: float = 0
    #: Its task is not registered where beat runs: its ticks go out by name.
    by_name: bool = False
    #: Positional input, for a task that is not guarded.
    args: tuple[Any, ...] = ()
    #: Further options of the publish, for a task that is not guarded.
    options: dict[str, Any] = {}
    #: The fields of its input that its task types as secrets: who shows it hides them.
    secrets: tuple[str, ...] = ()

    @field_validator("every")
    @classmethod
    def _some_seconds(cls, every: int | None) -> int | None:
        if every is not None and every < 1:
            raise ValueError("at least one second")
        return every

    @field_validator("cron")
    @classmethod
    def _one_timing(cls, line: str | None, info: ValidationInfo) -> str | None:
        every = info.data.get("every")
        if line is None:
            other = info.data.get("every_ms") or info.data.get("asks")
            if every is None and other is None and "every" in info.data:
                raise ValueError('one of every = "30s" and cron = "*/5 * * * *"')
            return None
        if every is not None:
            raise ValueError("either every or cron, not both")
        line = cron_line.normal(line)
        _parsed(line, info.data)
        return line

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        zone.named(name)
        return name

    @field_validator("input", mode="before")
    @classmethod
    def _json_input(cls, value: object) -> object:
        return _plain(value)

    @field_validator("overlap_limit")
    @classmethod
    def _limit_of_buffer(cls, limit: int, info: ValidationInfo) -> int:
        if info.data.get("overlap", "buffer_all") != "buffer_all":
            raise ValueError('only with overlap = "buffer_all"')
        return limit

    @field_validator("catchup_window")
    @classmethod
    def _some_window(cls, window: int, info: ValidationInfo) -> int:
        if window == 0 and info.data.get("catchup", "skip") != "skip":
            raise ValueError('a window such as "1h", or catchup = "skip"')
        return window

    @field_validator("jitter")
    @classmethod
    def _within_interval(cls, jitter: int, info: ValidationInfo) -> int:
        interval = _interval(info.data) if jitter else None
        if interval is not None and jitter >= interval:
            raise ValueError(f"less than the interval, which is {duration.text(interval)}")
        return jitter

    @field_validator("start_deadline", "late_after")
    @classmethod
    def _after_jitter(cls, term: int | None, info: ValidationInfo) -> int | None:
        jitter = info.data.get("jitter", 0)
        if term is not None and term <= jitter:
            raise ValueError(f"longer than the jitter, which is {duration.text(jitter)}")
        return term

    @cached_property
    def parsed_cron(self) -> Cron:
        """The cron line, ready to be asked. Only for schedules that have one."""
        assert self.cron is not None
        return _parsed(self.cron, self.__dict__)

    @cached_property
    def timing(self) -> str:
        """A short digest of all that decides its ticks; another one means another timing."""
        decides: list[object] = [self.every, self.jitter]
        if self.every_ms or self.asks:
            decides += [self.every_ms, self.asks]
        if self.cron is not None:
            decides += [self.cron, self.timezone, self.both_days, _hash_id(self.cron, self.name)]
        return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:12]

    @property
    def interval_ms(self) -> int | None:
        """Milliseconds between two ticks, counted from the epoch; None where something else decides."""
        return self.every * 1000 if self.every is not None else self.every_ms

    @property
    def when(self) -> str:
        """Its timing as a person reads it: "every 30s", "*/5 * * * * Europe/Berlin"."""
        if self.every is not None:
            return f"every {duration.text(self.every)}"
        if self.every_ms is not None:
            return f"every {self.every_ms / 1000:g}s"
        if self.asks is not None:
            return f"as {self.asks} says"
        return f"{self.cron} {self.timezone}"


def _hash_id(line: str, name: str) -> str:
    return name if cron_line.hashed(line) else ""


def _parsed(line: str, data: Mapping[str, Any]) -> Cron:
    return cron_line.parse(
        line,
        _hash_id(line, data.get("name", "")),
        seconds=bool(data.get("seconds")),
        both_days=bool(data.get("both_days")),
    )


def _interval(data: Mapping[str, Any]) -> int | None:
    if data.get("cron") is None:
        return data.get("every")
    return _parsed(data["cron"], data).interval()


def _plain(value: object) -> object:
    """TOML's dates as ISO texts, everything else as JSON has it."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("numbers that JSON can hold")
    return value
