"""Every setting, read once. The only place that reads the environment.

Each setting is `ANP_<NAME>`; each can also be given as `ANP_<NAME>_FILE`, a file that holds the value
(a mounted secret). Without `ANP_REDIS_URL` the settings of a running `anp up` are taken from its
state folder (`.anp/stack.json`).
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from celery_anp.errors import BadSetting, did_you_mean
from celery_anp.values import Secret, Setting, commas, number, one_of, path, readable, secret, site, text, url, whole

PREFIX = "ANP_"
STACK_FILE = "stack.json"


class Settings:
    """The settings of one process: what is given, else what its environment says. They do not change.

    Args:
        **given: values by name, in place of what the environment says.

    Raises:
        BadSetting: a value cannot be right; the message names it and what was expected.
    """

    #: Broker, result backend and ledger. `redis://`, `rediss://`, `sentinel://`, or `redis+socket:///path?virtual_host=0`.
    redis_url: str = url("redis://127.0.0.1:6379/0", "redis", "rediss", "sentinel", "redis+socket")
    #: Password that the sentinels themselves want; the one in the URL is Redis' own.
    sentinel_password: Secret = secret()
    #: For `rediss://`: path of the certificates that sign Redis' own; empty: what the system trusts.
    tls_ca: Path | None = readable()
    #: For `rediss://`: paths of our own certificate and its key, where Redis wants one.
    tls_cert: Path | None = readable()
    tls_key: Path | None = readable()
    #: The Celery app, as Celery's `-A` names it: `module` or `module:attribute`.
    app: str = text()
    #: The site that the scheduled work serves; `anp status` and `anp health site` ask for it. Empty: there is none.
    site_url: str = site("")
    #: Further modules with tasks, comma separated.
    tasks: tuple[str, ...] = commas()
    #: Files or folders with schedules, comma separated. Empty: the ones that the app's deployment ships.
    schedules: tuple[str, ...] = commas()
    #: What becomes of the set where an entry of the app's `beat_schedule` cannot be taken: `lenient` leaves it out and
    #: says so, `strict` refuses all of them.
    beat_entries: Literal["lenient", "strict"] = one_of("lenient", "strict")
    #: TOML file with the command lines that `system.command` may run.
    commands: Path | None = path()
    #: Seconds after which a silent node is dead.
    lease: float = number(15.0, ge=1, le=600)
    #: First part of every key that is ours; another one for each app on one Redis database.
    prefix: str = text("anp", pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    #: Where this runs.
    env: Literal["development", "staging", "production"] = one_of("development", "staging", "production")
    #: Name of the deployed release, unique per deploy.
    release: str = text()
    #: Webhook for alerts.
    alert_url: str = text()
    #: User of the Flower pages.
    flower_user: str = text("anp")
    #: Password of the Flower pages; without one Flower does not start.
    flower_password: Secret = secret()
    #: Seconds that a running task gets when its worker is stopped; then its run goes back to the ledger.
    grace: float = number(20.0, ge=0, le=3600)
    #: Worker children.
    concurrency: int = whole(2, ge=1, le=256)
    #: Finished rows kept per schedule, and per task of runs by hand.
    keep_rows: int = whole(1000, ge=10, le=1_000_000)
    #: Days that succeeded and skipped rows are kept.
    keep_days: float = number(7, gt=0, le=3650)
    #: Days that every other finished row is kept.
    keep_failed_days: float = number(30, gt=0, le=3650)
    #: Folder of `anp up`: embedded Redis, demo site, passwords.
    state: Path = path(".anp")
    #: The Redis server that `anp up` and the tests start: its path, its name on the PATH, or `embedded` for the one in
    #: the wheel. Empty: the first one on the PATH that is new enough, else the embedded one.
    redis_server: str = text()
    #: Lowest level that is logged.
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = one_of("INFO", "DEBUG", "WARNING", "ERROR")

    #: The names of those that somebody gave.
    model_fields_set: frozenset[str]

    def __init__(self, **given: Any) -> None:
        known = self.known()
        found = {name: value for name, value in {**_outside(known), **given}.items() if name in known}
        values = {name: _read(name, one, found) for name, one in known.items()}
        if (values["tls_cert"] is None) != (values["tls_key"] is None):
            expected = "ANP_TLS_CERT and ANP_TLS_KEY go together"
            raise BadSetting("Settings do not fit together", expected=expected)
        vars(self).update(values, model_fields_set=frozenset(found))

    @classmethod
    def known(cls) -> dict[str, Setting]:
        """Every setting by name, also those of the classes that it is derived from."""
        found = [vars(kind) for kind in reversed(cls.__mro__)]
        return {name: one for kind in found for name, one in kind.items() if isinstance(one, Setting)}

    def model_copy(self, *, update: dict[str, Any]) -> Self:
        """The same with other values, which are taken as they are; called as on a model of pydantic's."""
        other = object.__new__(type(self))
        vars(other).update({**vars(self), **update}, model_fields_set=self.model_fields_set | update.keys())
        return other

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("settings do not change; see `model_copy`")

    def __repr__(self) -> str:
        shown = (
            f"{name}=…" if _may_hold_password(name) else f"{name}={getattr(self, name)!r}" for name in self.known()
        )
        return f"{type(self).__name__}({', '.join(shown)})"


def _read(name: str, one: Setting, found: dict[str, Any]) -> Any:
    if name not in found:
        return one.default
    try:
        return one.read(found[name])
    except ValueError as error:
        given = "a value that is not shown" if _may_hold_password(name) else repr(found[name])
        raise BadSetting(f"{PREFIX}{name.upper()} cannot be used", expected=str(error), given=given) from None


def _outside(known: dict[str, Setting]) -> dict[str, Any]:
    """What the environment says, else a file that it names, a running `anp up`, or the project."""
    own = {name: os.environ[PREFIX + name.upper()] for name in known if PREFIX + name.upper() in os.environ}
    return {**_project(), **_stack(), **_files(known), **own}


def _files(known: dict[str, Setting]) -> dict[str, str]:
    """`ANP_<NAME>_FILE`: the value is the stripped text of that file."""
    return {
        name: _held(name, file)
        for name in known
        if (file := os.environ.get(f"{PREFIX}{name.upper()}_FILE")) is not None
    }


def _held(name: str, file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(
            f"{PREFIX}{name.upper()}_FILE cannot be read",
            expected="a readable file that holds the value",
            given=f"{file}: {getattr(error, 'strerror', 'it is no UTF-8')}",
        ) from None


def _stack() -> dict[str, Any]:
    """The settings that a running `anp up` left in its state folder; used only when no Redis is named."""
    if any(f"{PREFIX}REDIS_URL{suffix}" in os.environ for suffix in ("", "_FILE")):
        return {}
    file = Path(os.environ.get(f"{PREFIX}STATE", ".anp")) / STACK_FILE
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")).get("settings", {}))
    except (OSError, ValueError):
        return {}


def _project() -> dict[str, Any]:
    """`app` in `[tool.anp]` of the pyproject.toml in the current folder."""
    try:
        text = Path("pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    import tomllib  # a container has no such file

    try:
        found = tomllib.loads(text).get("tool", {}).get("anp", {})
    except (ValueError, AttributeError):  # no TOML, or `tool` is no table
        return {}
    if not isinstance(found, dict):
        raise BadSetting("[tool.anp] of pyproject.toml is no table", expected="app = 'module:attribute' in it")
    if strange := found.keys() - {"app"}:
        raise BadSetting(f"[tool.anp] of pyproject.toml has an unknown key {strange.pop()!r}", expected="app")
    return dict(found)


def settings() -> Settings:
    """The settings of this process, read on first use; see `read`."""
    return read(Settings)


Kind = TypeVar("Kind", bound=Settings)


@cache
def read(kind: type[Kind]) -> Kind:
    """The settings of this process, of one kind: the engine's, or a deployment's with the engine's among them.

    Args:
        kind: `Settings`, or a class derived from it.

    Returns:
        The validated settings; the same object on each call.

    Raises:
        BadSetting: a value cannot be right, or a variable is nobody's; the message names it and what was expected.
    """
    chosen = kind()
    if kind is not Settings or not chosen.app:  # else the app knows more of them: `refuse_unknown` once it is loaded
        refuse_unknown()
    return chosen


def _may_hold_password(name: str) -> bool:
    return any(word in name for word in ("password", "secret", "token", "url"))


def refuse_unknown() -> None:
    """Refuse a variable `ANP_…` that nobody reads: neither the engine nor a deployment whose settings are loaded.

    Raises:
        BadSetting: there is one; says which are near.
    """
    known = {PREFIX + name.upper() for name in _names()}
    for name in sorted(os.environ):
        base = name.removesuffix("_FILE")
        if name.startswith(PREFIX) and base not in known:
            raise BadSetting(f"{name} is not a setting of anp.{did_you_mean(base, known)}")


def _names() -> set[str]:
    kinds, names = [Settings], set[str]()
    while kinds:
        kind = kinds.pop()
        names |= kind.known().keys()
        kinds += kind.__subclasses__()
    return names


def name_app(app: str) -> None:
    """Name the Celery app for this process and its children, as `-A` does."""
    os.environ[f"{PREFIX}APP"] = app
    read.cache_clear()


def sources() -> dict[str, str]:
    """By name the file of each setting that is given as a file; from the environment, not from a running stack."""
    given = {name: os.environ.get(f"{PREFIX}{name.upper()}_FILE") for name in _names()}
    return {name: path for name, path in given.items() if path is not None}


def environment(**changes: str) -> dict[str, str]:
    """This process's environment with changes, for a child process.

    Args:
        **changes: settings by lower-case name, without `ANP_`.

    Returns:
        A copy of the environment with `ANP_<NAME>` set for each change.
    """
    return {**os.environ, **{PREFIX + name.upper(): value for name, value in changes.items()}}
