"""The next links of a canvas, when the worker died between settling a run and sending them.

Celery sends links itself after the body. Their ids are frozen, so sending them twice plans each once. A run that ends
without a body (skipped, reaped, cancelled) has its links sent from here too, and so has one of whose links Celery
could not send one: here each is sent by itself, and one that cannot be sent fails alone.

Limits: an errback that Celery would call in the worker's child is called here, in the caller's thread, and again where
the caller dies too. A task that is not guarded may be sent twice, where something beside it cannot be sent. An errback
that is a run is called once: an operator's retry that fails again does not call it again; one that succeeds goes on
with its chain, and not with a chord that has failed meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery.app.task import Context
from celery.backends.redis import RedisBackend
from celery.canvas import Signature, chord, group, maybe_signature
from celery.utils.log import get_logger
from kombu.exceptions import OperationalError
from kombu.utils import json
from redis.exceptions import RedisError

from celery_anp.canvas import ends, signatures
from celery_anp.errors import BadRequest, LedgerFull, LedgerUnavailable, RunEnded
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.run import Run
from celery_anp.reliability.store import translate
from celery_anp.sending.message import KEPT, LINKS, read_back

log = get_logger(__name__)

#: What may pass: the link is sent later (`passes`). Any other error would be met again.
PASSING = (LedgerUnavailable, LedgerFull, OperationalError, RedisError)


def passes(error: BaseException | None) -> bool:
    """Whether what went wrong passes. A Redis that says it cannot do this is not away, and will say so again."""
    known = translate(error) if isinstance(error, RedisError) else error
    return isinstance(error, PASSING) and not isinstance(known, BadRequest)


def send(app: Any, ledger: Ledger, run_id: str) -> None:
    """Send what follows an ended run, tell Celery's backend of it where no script can, and confirm it.

    While somebody holds Celery's claim to send a chord that the run takes part in, nothing is sent or confirmed: its
    holder may have died with it, and then the chord goes on once the claim is over.

    Args:
        app: the guarded app.
        ledger: the ledger.
        run_id: the ended run.

    Raises:
        LedgerUnavailable, LedgerFull, OperationalError, RedisError: not all was sent; it is due again.
    """
    run = ledger.find(run_id)
    kept = ledger.store.read(
        "hmget", ledger.row_key(run_id), ["message", "failed_as", "failed_why", "by_backend", "partial", "replacement"]
    )
    if run is None or kept[0] is None:
        ledger.links_done(run_id)
        return
    message = read_back(kept[0])
    known = {**message.headers, **message.body[2], **{name: message.property(name) for name in KEPT}}
    request = Context({**known, "called_directly": False, "delivery_info": {}})
    if kept[5]:
        _put_in_place(app, ledger, request, kept[5])
        ledger.links_placed(run_id)
        return
    if not run.final and run.state != "rolling_back":  # it has gone on as its replacement just now
        return
    # Where a hook undid it, why it had failed is what is told, and what its canvas waits for.
    state, reason, lost = kept[1] or run.state, kept[2] or run.reason, None
    if kept[4] and run.state == "succeeded":
        run, lost = ends.whole(app, run)
    if kept[3]:
        ends.tell(app, run, request, state, lost or reason, lost=bool(lost))
    if isinstance(app.backend, RedisBackend) and _is_claimed(app, request):
        log.info("a chord of %s is being sent: looking again", run_id)
        return
    if links_of(request):
        log.warning("sending the next links of %s, which is %s", run_id, run.state)
    if run.state == "succeeded" and not lost:
        _go_on(app, request, run)
    else:
        _end(app, ledger, request, RunEnded(f"{run.run_id} ended as {state}: {lost or reason}"))
    ledger.links_done(run_id)


def _put_in_place(app: Any, ledger: Ledger, request: Any, replacement: str) -> None:
    """Send what a run was replaced by; if that cannot be sent, the run fails with it."""
    try:
        app.signature(json.loads(replacement)).apply_async()
    except Exception as error:
        if passes(error):
            raise
        log.error("what %s was replaced by cannot be sent, and it fails: %s", request.id, error)
        app.backend.store_result(request.id, error, "FAILURE", request=request)
        _end(app, ledger, request, error)


def _go_on(app: Any, request: Any, run: Run) -> None:
    family = {"parent_id": run.run_id, "root_id": request.root_id or run.run_id}
    for callback in request.callbacks or ():
        _follow(app, run.run_id, run.result, callback, **family)
    if request.chain:
        _follow(app, run.run_id, run.result, request.chain[-1], chain=request.chain[:-1], **family)
    app.backend.mark_as_done(run.run_id, run.result, request=request, store_result=False)


def _follow(app: Any, name: str, value: Any, link: Any, **options: Any) -> None:
    """Send what follows something with a value; of a group each task by itself, so that one that cannot be sent fails
    alone."""
    signature = maybe_signature(link, app=app)
    if signature.subtask_type == "group":
        grouped = {**signature.options, **options}
        grouped["group_id"] = grouped.pop("task_id", None)
        for task in signature.tasks:
            _follow(app, name, value, task, **grouped)
        return
    try:
        signature.apply_async((value,), **options)
    except Exception as error:
        if passes(error):
            raise
        log.error("what follows %s cannot be sent and fails: %s", name, error)
        fail(app, app.ledger, link, error, call_errbacks=True)
        fail_chain(app, app.ledger, options.get("chain"), error)


class Separate(group):
    """A group that sends each task by itself."""

    def delay(self, value: Any) -> None:
        """Send it with the results of a chord.

        Raises:
            LedgerUnavailable, LedgerFull, OperationalError, RedisError: not all of it was sent.
        """
        _follow(self.app, "a chord", value, self)


def separate_body(app: Any, body: Any) -> Any:
    """The body of a chord; a group as `Separate`."""
    signature = maybe_signature(body, app=app)
    return Separate.from_dict(dict(signature), app=app) if signature.subtask_type == "group" else body


def _end(app: Any, ledger: Ledger, request: Any, error: BaseException) -> None:
    """The run did not succeed: what is chained to it fails with it, its chord and its errbacks hear of it."""
    fail_chain(app, ledger, request.chain, error)
    request.chain = None
    app.backend.mark_as_failure(request.id, error, request=request, store_result=False, call_errbacks=False)
    _call_errbacks(app, ledger, request, error)


def _call_errbacks(app: Any, ledger: Ledger, request: Any, error: BaseException) -> None:
    for number, errback in enumerate(request.errbacks or ()):
        named = signatures.frozen(app, errback, f"{request.id}/{number}")
        alone = Context({**vars(request), "chord": None, "errbacks": [named]})
        try:
            app.backend.mark_as_failure(request.id, error, request=alone, store_result=False)
        except Exception as bad:
            if passes(bad):
                raise
            log.error("an errback of %s cannot be sent and fails: %s", request.id, bad)
            fail(app, ledger, errback, bad)


def fail_chain(app: Any, ledger: Ledger, chain: Any, error: BaseException) -> None:
    """End what is chained to a run that did not succeed.

    Args:
        app: the guarded app.
        ledger: the ledger.
        chain: the links as Celery's request has them, the next one last.
        error: why.
    """
    for link in reversed(chain or ()):
        fail(app, ledger, link, error)


def fail(
    app: Any, ledger: Ledger, link: Any, error: BaseException, *, call_errbacks: bool = False, stored: str | None = None
) -> None:
    """End every task of a link as a failure, unless it was planned: then it has an end of its own. Who waits for it to
    go on as it ends too.

    Args:
        app: the guarded app.
        ledger: the ledger.
        link: a signature.
        error: why.
        call_errbacks: whether to tell their errbacks.
        stored: the one whose failure Celery has stored already, with what it called.
    """
    for task in signatures.tasks_of(app, link):
        if task.id and (ledger.find(task.id) is None or ledger.waits(task.id)):
            request = _request_of(task)
            keep = task.id != stored
            app.backend.mark_as_failure(task.id, error, request=request, store_result=keep, call_errbacks=False)
            if call_errbacks:
                _call_errbacks(app, ledger, request, error)


def _request_of(task: Signature) -> Any:
    """The request that a task of a canvas would have had."""
    options = task.options
    return Context({
        "id": task.id, "task": task.task, "group": options.get("group_id"), "group_index": options.get("group_index"),
        "chord": options.get("chord"), "errbacks": signatures.listed(options.get("link_error")), "delivery_info": {},
    })  # fmt: skip


def _is_claimed(app: Any, request: Any) -> bool:
    """Whether somebody holds Celery's claim to send a chord that this run, or what is chained to it, takes part in."""
    chained = [_request_of(task) for link in request.chain or () for task in signatures.tasks_of(app, link)]
    named = {part.group for part in (request, *chained) if part.chord and part.group}
    for name in named:
        app.backend.restore_size(name)
    claims = [app.backend.client.get(app.backend.get_key_for_group(name, ".c")) for name in named]
    return any(claim not in (None, b"done", "done") for claim in claims)


def links_of(request: Any) -> dict[str, Any]:
    """What follows a run in its canvas, as it stands now; empty where nothing does.

    Args:
        request: the run's, as Celery has it.
    """
    found = {name: getattr(request, name, None) for name in LINKS}
    kept = {name: list(value) if isinstance(value, list | tuple) else value for name, value in found.items()}
    return kept if any(kept.values()) else {}


def name_own(app: Any, request: Any) -> None:
    """Give an id to what follows a run and has none, the same each time.

    Args:
        app: the guarded app.
        request: the run's.
    """
    for kind in ("callbacks", "errbacks", "chain"):
        following = enumerate(signatures.listed(getattr(request, kind, None)))
        named = [signatures.frozen(app, link, f"{request.id}/{kind}/{number}") for number, link in following]
        setattr(request, kind, named)


def children(app: Any, following: Mapping[str, Any]) -> list[Any]:
    """What follows a run next, as Celery keeps it among the children of its result.

    Args:
        app: the guarded app.
        following: what `links_of` said.
    """
    chain = following.get("chain") or ()
    nexts = [signatures.first(app, link) for link in (*(following.get("callbacks") or ()), *chain[-1:])]
    return [link.freeze().as_tuple() for link in nexts if not isinstance(link, chord)]
