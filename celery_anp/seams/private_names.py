"""Every private name of Celery, kombu and billiard that we stand on: where, and which test notices its change.

Read in Celery 5.7.0, kombu 5.7.0 and billiard 4.3.2. `tests/unit/test_private_names.py` looks each of them up in what
is installed: an upgrade that renames one fails there, before anything subtler does.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Name:
    """One private name."""

    #: `module:Class.attribute`, or `module:attribute`.
    name: str
    #: Our file that uses it, below celery_anp.
    used_in: str
    #: What for.
    why: str
    #: The test module that fails when its behaviour changes.
    test: str
    #: The first Celery that has it; before that one the seam has nothing to mend, or does it another way.
    since: tuple[int, int] = (5, 5)


NAMES = (
    Name("celery.app.base:Celery._connection", "app.py", "sockets with a time-out on every connection",
         "integration/test_outage.py"),
    Name("celery.app.base:Celery._task_from_fun", "app.py", "a task's options are checked when it is declared",
         "integration/test_team.py"),
    Name("celery.app.base:Celery._get_backend", "app.py", "results are stored by settle", "integration/test_life.py"),
    Name("celery.app.amqp:AMQP._create_task_sender", "sending/publisher.py", "the row comes before the message",
         "integration/test_doorbell.py"),
    Name("celery.app.task:Task._get_exec_options", "sending/message.py", "a tick's message as a call's",
         "integration/test_beat.py"),
    Name("celery.backends.base:Backend._get_result_meta", "execution/record.py", "Celery's record of a result",
         "integration/test_life.py"),
    Name("celery.backends.base:Backend._call_task_errbacks", "canvas/chords.py", "an errback is called once",
         "integration/test_links.py"),
    Name("celery.backends.base:Backend.chord_error_from_stack", "canvas/chords.py", "a chord waits for what passes",
         "integration/test_canvas.py"),
    Name("celery.backends.redis:RedisBackend._chord_part_return_script", "canvas/chords.py",
         "whether Celery counts a part once", "unit/test_chords.py", (5, 7)),
    Name("celery.backends.redis:RedisBackend._chord_publish_claim_expires", "canvas/chords.py",
         "a claim does not outlive its holder for long", "integration/test_links.py", (5, 7)),
    Name("celery.backends.redis:RedisBackend._chord_cleanup_script", "canvas/chords.py",
         "the count of a chord that waits stays", "integration/test_links.py", (5, 7)),
    Name("celery.worker.request:Request._announce_revoked", "seams/request.py", "a revoke is a cancel in the ledger",
         "integration/test_revoke.py"),
    Name("celery.concurrency.asynpool:ResultHandler._recv_message", "seams/child_pipe.py",
         "a message that is half read is read to its end", "integration/test_watchdog.py"),
    Name("celery.concurrency.asynpool:ResultHandler._finish_partial_read", "seams/child_pipe.py",
         "the same, when the worker ends", "integration/test_watchdog.py", (5, 7)),
    Name("celery.concurrency.asynpool:AsynPool._worker_active", "seams/shrinking.py",
         "a child with work is not ended when the pool shrinks", "integration/test_stopping.py"),
    Name("billiard.pool:GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT", "seams/worker_step.py",
         "a child that ends waits one second and not thirty", "integration/test_release.py"),
    Name("celery.canvas:_chain.apply_async", "seams/sent_twice.py", "a chain is sent twice",
         "integration/test_canvas.py"),
    Name("celery.canvas:_chord.apply_async", "seams/sent_twice.py", "a chord too", "integration/test_canvas.py"),
    Name("billiard.common:_should_have_exited", "execution/children.py",
         "a child that is being ended is told from a body that exits", "integration/test_revoke.py"),
    Name("celery.worker.control:Panel.data", "node/revoke.py", "revoke and terminate reach the ledger",
         "integration/test_revoke.py"),
    Name("celery.worker.consumer:Consumer.on_connection_error_after_connected", "seams/consumer.py",
         "a lost connection ends no worker", "integration/test_sentinel.py"),
    Name("celery.worker.consumer:Consumer.cancel_active_requests", "seams/consumer.py",
         "bodies that we end ourselves are no loss", "integration/test_stopping.py", (5, 7)),
    Name("kombu.transport.redis:Channel._do_restore_message", "seams/unacked.py", "a doorbell goes back to its list",
         "integration/test_unacked.py"),
    Name("kombu.transport.redis:QoS.restore_unacked", "seams/unacked.py", "the same, when the channel closes",
         "integration/test_unacked.py"),
    Name("kombu.transport.redis:Channel._create_client", "seams/reading.py", "a message is kept until it is read",
         "integration/test_poison.py"),
    Name("kombu.transport.redis:Channel._brpop_read", "seams/reading.py", "what cannot be read ends no worker",
         "integration/test_poison.py"),
    Name("kombu.transport.redis:Channel._receive_one", "seams/reading.py", "neither does a broadcast",
         "integration/test_poison.py"),
    Name("celery.worker.consumer:Consumer.on_invalid_task", "seams/consumer.py", "what Celery rejects is set aside",
         "integration/test_poison.py"),
    Name("celery.worker.consumer:Consumer.on_unknown_message", "seams/consumer.py", "the same",
         "integration/test_poison.py"),
    Name("kombu.utils.objects:cached_property", "seams/forked.py", "its lock is made anew after a fork",
         "unit/test_forked.py"),
    Name("celery.utils.dispatch:Signal", "seams/forked.py", "the same", "unit/test_forked.py"),
)  # fmt: skip
