"""Every setting, read once. The only place that reads the environment.

Each setting is `ANP_<NAME>`; each can also be given as `ANP_<NAME>_FILE`, a file that holds the value
(a mounted secret). Without `ANP_REDIS_URL` the settings of a running `anp up` are taken from its
state folder (`.anp/stack.json`).
"""

from __future__ import annotations

import json
import os
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from celery_anp.errors import BadSetting, did_you_mean

PREFIX = "ANP_"
STACK_FILE = "stack.json"
Commas = Annotated[tuple[str, ...], NoDecode]


class FileSource(PydanticBaseSettingsSource):
    """`ANP_<NAME>_FILE`: the value is the stripped text of that file."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        if path is None:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except OSError as error:
            raise BadSetting(
                f"{PREFIX}{field_name.upper()}_FILE cannot be read",
                expected="a readable file that holds the value",
                given=f"{path}: {error.strerror}",
            ) from None

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


class StackSource(PydanticBaseSettingsSource):
    """The settings that a running `anp up` left in its state folder; used only when no Redis is named."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        if any(f"{PREFIX}REDIS_URL{suffix}" in os.environ for suffix in ("", "_FILE")):
            return {}
        path = Path(os.environ.get(f"{PREFIX}STATE", ".anp")) / STACK_FILE
        try:
            stack = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        known = stack.get("settings", {})
        return {name: value for name, value in known.items() if name in self.settings_cls.model_fields}


class ProjectSource(PydanticBaseSettingsSource):
    """`app` in `[tool.anp]` of the pyproject.toml in the current folder."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        try:
            own = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8")).get("tool", {}).get("anp", {})
        except (OSError, ValueError):
            return {}
        if strange := own.keys() - {"app"}:
            raise BadSetting(f"[tool.anp] of pyproject.toml has an unknown key {strange.pop()!r}", expected="app")
        return own


class Settings(BaseSettings):
    """The settings of one process.

    Raises:
        BadSetting: through `settings()`, when a value cannot be right.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    #: Broker, result backend and ledger. `redis://`, `rediss://` or `sentinel://`.
    redis_url: str = "redis://127.0.0.1:6379/0"
    #: Password that the sentinels themselves want; the one in the URL is Redis' own.
    sentinel_password: SecretStr = SecretStr("")
    #: For `rediss://`: path of the certificates that sign Redis' own; empty: what the system trusts.
    tls_ca: Path | None = None
    #: For `rediss://`: paths of our own certificate and its key, where Redis wants one.
    tls_cert: Path | None = None
    tls_key: Path | None = None
    #: The Celery app, as Celery's `-A` names it: `module` or `module:attribute`.
    app: str = ""
    #: The site that the scheduled work serves; `anp status` and `anp health site` ask for it. Empty: there is none.
    site_url: str = ""
    #: Further modules with tasks, comma separated.
    tasks: Commas = ()
    #: Files or folders with schedules, comma separated. Empty: the ones that the app's deployment ships.
    schedules: Commas = ()
    #: TOML file with the command lines that `system.command` may run.
    commands: Path | None = None
    #: Seconds after which a silent node is dead.
    lease: Annotated[float, Field(ge=1, le=600)] = 15.0
    #: First part of every key that is ours.
    prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")] = "anp"
    #: Where this runs.
    env: Literal["development", "staging", "production"] = "development"
    #: Name of the deployed release, unique per deploy.
    release: str = ""
    #: Webhook for alerts.
    alert_url: str = ""
    #: User of the Flower pages.
    flower_user: str = "anp"
    #: Password of the Flower pages; without one Flower does not start.
    flower_password: SecretStr = SecretStr("")
    #: Seconds that a running task gets when its worker is stopped; then its run goes back to the ledger.
    grace: Annotated[float, Field(ge=0, le=3600)] = 20.0
    #: Worker children.
    concurrency: Annotated[int, Field(ge=1, le=256)] = 2
    #: Finished rows kept per schedule.
    keep_rows: Annotated[int, Field(ge=10, le=1_000_000)] = 1000
    #: Days that succeeded and skipped rows are kept.
    keep_days: Annotated[float, Field(gt=0, le=3650)] = 7
    #: Days that every other finished row is kept.
    keep_failed_days: Annotated[float, Field(gt=0, le=3650)] = 30
    #: Folder of `anp up`: embedded Redis, demo site, passwords.
    state: Path = Path(".anp")
    #: The Redis server that `anp up` and the tests start: its path, its name on the PATH, or `embedded` for the one in
    #: the wheel. Empty: the first one on the PATH that is new enough, else the embedded one.
    redis_server: str = ""
    #: Lowest level that is logged.
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("tasks", "schedules", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("tls_ca", "tls_cert", "tls_key", "commands", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @field_validator("tls_ca", "tls_cert", "tls_key")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None and not os.access(value, os.R_OK):
            raise ValueError("a file that this user can read")
        return value

    @model_validator(mode="after")
    def _key_with_certificate(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("ANP_TLS_CERT and ANP_TLS_KEY go together")
        return self

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, value: str) -> str:
        return known_scheme(value, ("redis", "rediss", "sentinel", "redis+socket"))

    @field_validator("site_url")
    @classmethod
    def _site_scheme(cls, value: str) -> str:
        return known_scheme(value, ("http", "https")).rstrip("/") if value else ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (
            init_settings, env_settings, FileSource(settings_cls), StackSource(settings_cls),
            ProjectSource(settings_cls),
        )  # fmt: skip


def known_scheme(url: str, schemes: tuple[str, ...]) -> str:
    """A URL whose scheme is one of some; a ValueError says which."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in schemes or not rest:
        raise ValueError(f"a URL that begins with {' or '.join(s + '://' for s in schemes)}")
    return url


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
    try:
        chosen = kind()
    except ValidationError as error:
        raise _refusal(error) from None
    if kind is not Settings or not chosen.app:  # else the app knows more of them: `refuse_unknown` once it is loaded
        refuse_unknown()
    return chosen


def _refusal(error: ValidationError) -> BadSetting:
    first = error.errors()[0]
    expected = str(first["msg"]).removeprefix("Value error, ")
    if not first["loc"]:  # it is about several of them, and says which
        return BadSetting("Settings do not fit together", expected=expected)
    name = str(first["loc"][0])
    given = "a value that is not shown" if _may_hold_password(name) else repr(first["input"])
    return BadSetting(f"{PREFIX}{name.upper()} cannot be used", expected=expected, given=given)


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
        names |= kind.model_fields.keys()
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
