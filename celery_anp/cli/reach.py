"""How a command reaches the ledger: the Redis named, the running `anp up`, what a stopped one left, the app's broker.

An app is imported only where nothing else says which Redis it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from celery_anp.cli import which_app
from celery_anp.errors import AnpError, LedgerUnavailable
from celery_anp.local.state_folder import StateFolder
from celery_anp.reliability import direct
from celery_anp.reliability.keyspace import Keyspace
from celery_anp.settings import Settings, settings

if TYPE_CHECKING:
    from celery_anp.reliability.ledger import Ledger

#: Seconds to wait for another command that reads the same stopped state folder.
PATIENCE = 10.0


@contextmanager
def ledger(*, to_read: bool = True) -> Iterator[Ledger]:
    """The ledger, for the duration of a command.

    Args:
        to_read: the command only reads, so the ledger of a stopped `anp up` will do.

    Yields:
        A ledger whose Redis answered.

    Raises:
        LedgerUnavailable: no Redis answers; says what to start or set.
        AnpError: the stack is just starting, or its folder is in use.
    """
    from celery_anp.reliability.ledger import Ledger  # more than a health check needs

    with keyspace(to_read=to_read) as store:
        yield Ledger.on(store, settings())


@contextmanager
def keyspace(*, to_read: bool = True) -> Iterator[Keyspace]:
    """The ledger's keys, for the duration of a command; see `ledger`."""
    chosen, state = _chosen()
    if _named(chosen, state) or state.held():
        yield _answering(chosen, state)
    elif to_read and (state.ledger / "redis.conf").exists():
        from celery_anp.local.embedded import RedisServer  # with redis-py

        with RedisServer.ledger(state.ledger).start(PATIENCE) as server:
            yield _connected(chosen.model_copy(update={"redis_url": server.url}))
    else:
        yield _answering(chosen, state)


def known() -> Settings:
    """The settings, with the Redis that `ledger` would ask where a stack is not just stopped."""
    return _chosen()[0]


def running() -> bool:
    """Whether the ledger that `ledger` gives is in use by a stack, not one that a stopped stack left."""
    chosen, state = _chosen()
    return _named(chosen, state) or state.held()


def _chosen() -> tuple[Settings, StateFolder]:
    """The settings, with the broker of the app that is named where they name no Redis and there was no `anp up`."""
    chosen = settings()
    state = StateFolder(chosen.state)
    stack = state.held() or (state.ledger / "redis.conf").exists()
    if chosen.app and not stack and "redis_url" not in chosen.model_fields_set:
        url = which_app.broker()
        if url != chosen.redis_url:  # else it has none of its own
            chosen = chosen.model_copy(update={"redis_url": url})
    return chosen, state


def _named(chosen: Settings, state: StateFolder) -> bool:
    left = state.stack().get("settings", {}).get("redis_url")
    return "redis_url" in chosen.model_fields_set and chosen.redis_url != left


def _answering(chosen: Settings, state: StateFolder) -> Keyspace:
    if not _named(chosen, state) and state.held() and not state.stack():
        raise AnpError("`anp up` is still starting", given=str(state.path), retry_safe=True)
    found = _connected(chosen)
    try:
        found.check_server()
    except LedgerUnavailable as error:
        if _named(chosen, state) or state.held():
            raise
        raise LedgerUnavailable(
            "There is no stack to talk to",
            expected="a running `anp up`, ANP_REDIS_URL, or the app whose broker it is: -A module, or ANP_APP",
            given=f"nothing runs on {state.path}, and {error.given}",
        ) from None
    return found


def _connected(chosen: Settings) -> Keyspace:
    """Without redis-py where its Redis is reached so: a command comes and goes, and its import costs the most."""
    if direct.reachable(chosen.redis_url):
        return direct.DirectStore.of(chosen)
    from celery_anp.reliability.store import Store

    return Store.of(chosen)
