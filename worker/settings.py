"""The site's settings, beside the engine's: `ANP_<NAME>`, each also as `ANP_<NAME>_FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from celery_anp import settings as engine
from celery_anp.values import Secret, commas, one_of, path, secret, site, text, url


class Settings(engine.Settings):
    """The settings of one process of this deployment."""

    #: The site's object cache, on a Redis of its own.
    cache_url: str = url("redis://127.0.0.1:6380/0", "redis", "rediss", "unix")
    #: The site's database, as SQLAlchemy writes it.
    database_url: str = text("sqlite:///.anp/site.sqlite3")
    #: Where the site answers.
    site_url: str = site("http://127.0.0.1:8000")
    #: What serves the site: the demo, or a WordPress.
    site_kind: Literal["demo", "wordpress"] = one_of("demo", "wordpress")
    #: Folder of the WordPress' files; its code is run with php from there. Empty: over HTTP, through the plugin.
    wordpress_path: Path | None = path()
    #: The php that runs WordPress' code: a name on the PATH, or a path.
    wordpress_php: str = text("php")
    #: What the names of the WordPress' tables begin with.
    wordpress_table_prefix: str = text("wp_", pattern=r"^[A-Za-z0-9_]{1,40}$")
    #: What signs requests to the plugin; the site's ANP_SECRET.
    wordpress_secret: Secret = secret()
    #: TOML file that says which pages a post's change affects. Empty: the one that is shipped for the kind of site.
    pages: Path | None = path()
    #: How pages leave the web server's page cache: not at all (there is none), by PURGE requests, by requests with a
    #: header that renders anew, or by deleting nginx' files.
    page_cache: Literal["none", "purge", "refresh", "files"] = one_of("none", "purge", "refresh", "files")
    #: Where PURGE and refresh requests go, if not to ANP_SITE_URL.
    page_cache_url: str = text()
    #: The header of a refresh request; also used to see pages as they are now.
    page_cache_header: str = text("X-Refresh: 1", pattern=r"^[A-Za-z0-9-]+: *[ -~]+$")
    #: Folder of nginx' page cache, as in fastcgi_cache_path.
    page_cache_folder: Path | None = path()
    #: Its levels, as in fastcgi_cache_path.
    page_cache_levels: str = text("1", pattern=r"^[12](:[12]){0,2}$")
    #: Its key: fastcgi_cache_key with {method}, {scheme}, {host} and {path} (nginx' $request_uri).
    page_cache_key: str = text(
        "{method}{path}",
        pattern=r"^([^{}]|\{(method|scheme|host|path)\})*\{path\}([^{}]|\{(method|scheme|host)\})*$",
    )
    #: Folder with the files that `content.import` may read. Empty: `imports` in the state folder.
    imports: Path | None = path()
    #: Files with the queries that are watched, comma separated. Empty: the ones that are shipped.
    queries: tuple[str, ...] = commas()


def settings() -> Settings:
    """The settings of this process, read on first use; see `celery_anp.settings.read`."""
    return engine.read(Settings)
