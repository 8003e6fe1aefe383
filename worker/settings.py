"""The site's settings, beside the engine's: `ANP_<NAME>`, each also as `ANP_<NAME>_FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from celery_anp import settings as engine
from celery_anp.settings import Commas, known_scheme


class Settings(engine.Settings):
    """The settings of one process of this deployment."""

    #: The site's object cache, on a Redis of its own.
    cache_url: str = "redis://127.0.0.1:6380/0"
    #: The site's database, as SQLAlchemy writes it.
    database_url: str = "sqlite:///.anp/site.sqlite3"
    #: Where the site answers.
    site_url: str = "http://127.0.0.1:8000"
    #: What serves the site: the demo, or a WordPress.
    site_kind: Literal["demo", "wordpress"] = "demo"
    #: Folder of the WordPress' files; its code is run with php from there. Empty: over HTTP, through the plugin.
    wordpress_path: Path | None = None
    #: The php that runs WordPress' code: a name on the PATH, or a path.
    wordpress_php: str = "php"
    #: What the names of the WordPress' tables begin with.
    wordpress_table_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,40}$")] = "wp_"
    #: What signs requests to the plugin; the site's ANP_SECRET.
    wordpress_secret: SecretStr = SecretStr("")
    #: TOML file that says which pages a post's change affects. Empty: the one that is shipped for the kind of site.
    pages: Path | None = None
    #: How pages leave the web server's page cache: not at all (there is none), by PURGE requests, by requests with a
    #: header that renders anew, or by deleting nginx' files.
    page_cache: Literal["none", "purge", "refresh", "files"] = "none"
    #: Where PURGE and refresh requests go, if not to ANP_SITE_URL.
    page_cache_url: str = ""
    #: The header of a refresh request; also used to see pages as they are now.
    page_cache_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+: *[ -~]+$")] = "X-Refresh: 1"
    #: Folder of nginx' page cache, as in fastcgi_cache_path.
    page_cache_folder: Path | None = None
    #: Its levels, as in fastcgi_cache_path.
    page_cache_levels: Annotated[str, Field(pattern=r"^[12](:[12]){0,2}$")] = "1"
    #: Its key: fastcgi_cache_key with {method}, {scheme}, {host} and {path} (nginx' $request_uri).
    page_cache_key: Annotated[
        str, Field(pattern=r"^([^{}]|\{(method|scheme|host|path)\})*\{path\}([^{}]|\{(method|scheme|host)\})*$")
    ] = "{method}{path}"
    #: Folder with the files that `content.import` may read. Empty: `imports` in the state folder.
    imports: Path | None = None
    #: Files with the queries that are watched, comma separated. Empty: the ones that are shipped.
    queries: Commas = ()

    @field_validator("queries", mode="before")
    @classmethod
    def _split_queries(cls, value: object) -> object:
        return cls._split(value)

    @field_validator("imports", "pages", "wordpress_path", "page_cache_folder", mode="before")
    @classmethod
    def _empty_folder_is_none(cls, value: object) -> object:
        return value or None

    @field_validator("cache_url")
    @classmethod
    def _cache_scheme(cls, value: str) -> str:
        return known_scheme(value, ("redis", "rediss", "unix"))


def settings() -> Settings:
    """The settings of this process, read on first use; see `celery_anp.settings.read`."""
    return engine.read(Settings)
