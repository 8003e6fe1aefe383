"""`anp cache`: the site's object cache; never a key outside the site's prefix, never the broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from redis.exceptions import RedisError

from worker.cli import printing
from worker.cli.following import follow, tell_end
from worker.cli.printing import AsJson, Limit
from worker.cli.reach import ledger
from worker.cli.tasks import task_named
from worker.errors import AnpError
from worker.settings import settings

if TYPE_CHECKING:
    from worker.site.object_cache import ObjectCache

app = typer.Typer(no_args_is_help=True, help="The site's cache: keys, audit, clear.")


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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be cleared.")] = False,
    json: AsJson = False,
) -> None:
    """Clear pages, as a run of `cache.clear`: it is in the ledger and can be rolled back.

    Example: `anp cache clear --tag python --dry-run`
    """
    from worker.site import clearing

    with _cache() as cache:
        target = clearing.target(cache, post=post, tag=tag, prefix=prefix)
        paths = clearing.preview(cache, target) if dry_run else []
    if dry_run:
        _tell_preview(paths, json=json)
        return
    wanted = {"post": post, "tag": tag, "prefix": prefix}
    given: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    task = task_named("cache.clear")
    with ledger(to_read=False) as found:
        tell_end(follow(found, task.apply_async(kwargs=given).id), json=json)


def _tell_preview(paths: list[str], *, json: bool) -> None:
    if json:
        printing.as_json({"dry_run": True, "pages": len(paths), "paths": paths})
        return
    for path in paths:
        printing.say(path)
    printing.note(f"{len(paths)} pages would be cleared; nothing was")


@contextmanager
def _cache() -> Iterator[ObjectCache]:
    from worker.site import clearing

    try:
        yield clearing.connect(settings())
    except RedisError as error:
        raise AnpError(
            "The cache does not answer",
            expected="a running `anp up`, or ANP_CACHE_URL with the site's cache",
            given=str(error),
            retry_safe=True,
        ) from None
