"""`anp cache`: the site's object cache; never a key outside the site's prefix, never the broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from redis.exceptions import RedisError

from celery_anp.cli import printing
from celery_anp.cli.following import follow, tell_end
from celery_anp.cli.printing import AsJson, Limit
from celery_anp.cli.reach import ledger
from celery_anp.cli.tasks import task_named
from celery_anp.errors import AnpError
from worker.cli import looking
from worker.settings import settings

if TYPE_CHECKING:
    from worker.site.object_cache import ObjectCache

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The site's caches: keys, audit, clear, compare, look, verify."
)
looking.add_to(app)


@app.command("keys")
def keys(limit: Limit = 50, json: AsJson = False) -> None:
    """Show names of the site's keys.

    Example: `anp cache keys --limit 20`
    """
    from worker.site import audit as site_audit

    with _cache() as cache:
        names = site_audit.names(cache, limit)
    if json:
        printing.as_json(names)
    else:
        for name in names:
            printing.say(name)


@app.command("audit")
def audit(json: AsJson = False) -> None:
    """Show what is in the cache: keys, memory and remaining time by group, keys without an end, the biggest.

    Example: `anp cache audit --json`
    """
    from worker.site import audit as site_audit

    with _cache() as cache:
        seen = asdict(site_audit.audit(cache))
    if json:
        printing.as_json(seen)
        return
    printing.fields({name: printing.short(value, 200) for name, value in seen.items() if name != "groups"})
    printing.say("")
    rows = [
        (name, group["keys"], group["memory"], printing.short(group["ends"], 100))
        for name, group in seen["groups"].items()
    ]
    printing.table(("group", "keys", "bytes", "ends"), rows)


@app.command("clear")
def clear(
    post: Annotated[int | None, typer.Option(help="Every page that shows this post.")] = None,
    tag: Annotated[str | None, typer.Option(help="Every page of this tag's list.")] = None,
    prefix: Annotated[str | None, typer.Option(help="Every page whose path begins so: /tag/python/")] = None,
    group: Annotated[str | None, typer.Option(help="A group of WordPress' object cache: post-queries")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be cleared.")] = False,
    json: AsJson = False,
) -> None:
    """Clear pages, as a run of `cache.clear`: it is in the ledger and can be rolled back.

    Example: `anp cache clear --tag python --dry-run`
    """
    wanted = {"post": post, "tag": tag, "prefix": prefix, "group": group}
    paths = _checked(dry_run=dry_run, **wanted)
    if dry_run:
        _tell_preview(paths, json=json)
        return
    given: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    task = task_named("cache.clear")
    with ledger(to_read=False) as found:
        tell_end(follow(found, task.apply_async(kwargs=given).id), json=json)


def _checked(*, dry_run: bool, **wanted: Any) -> list[str]:
    """Refuse what cannot be cleared before it is enqueued; what would be cleared, if that is asked."""
    from worker.site.served.chosen import chosen

    with _answering():
        site = chosen(settings())
        if dry_run:
            return site.preview(wanted)
        site.check(wanted)
        return []


def _tell_preview(paths: list[str], *, json: bool) -> None:
    if json:
        printing.as_json({"dry_run": True, "pages": len(paths), "paths": paths})
        return
    for path in paths:
        printing.say(path)
    printing.note(f"{len(paths)} pages and keys would be cleared; nothing was")


@contextmanager
def _cache() -> Iterator[ObjectCache]:
    from worker.site.served.chosen import chosen

    with _answering():
        yield chosen(settings()).cache()


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise AnpError(
            "The cache does not answer",
            expected="a running `anp up`, or ANP_CACHE_URL with the site's cache",
            given=str(error),
            retry_safe=True,
        ) from None
