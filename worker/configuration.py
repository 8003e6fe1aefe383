"""Celery's configuration: what each guarded app gets, and the whole of our own app's."""

from __future__ import annotations

from typing import Any

from worker import security
from worker.reliability import sentinel
from worker.settings import Settings

#: The task modules that come with anp.
SHIPPED = (
    "worker.tasks.content", "worker.tasks.importing", "worker.tasks.cache", "worker.tasks.maintenance",
    "worker.tasks.system", "worker.tasks.database", "worker.tasks.wordpress",
)  # fmt: skip
#: Celery's own consumer would fail a run whose task it does not know; ours parks it.
CONSUMING = {"worker_consumer": "worker.consumer:LedgerConsumer"}
#: Each connection gives up on a peer that does not answer, and finds out whether it is still there. No
#: retry_on_timeout: with it redis-py connects a lost subscription again by itself and then reads without a timeout,
#: inside the worker's event loop, which hears nothing any more.
SOCKETS = {
    "socket_timeout": 10, "socket_connect_timeout": 5, "socket_keepalive": True, "health_check_interval": 25,
}  # fmt: skip
#: The same for every guarded app: to its broker and to its results.
CONNECTING = {
    "broker_transport_options": SOCKETS,
    "redis_socket_timeout": SOCKETS["socket_timeout"],
    "redis_socket_connect_timeout": SOCKETS["socket_connect_timeout"],
    "redis_socket_keepalive": SOCKETS["socket_keepalive"],
    "redis_backend_health_check_interval": SOCKETS["health_check_interval"],
}
#: Seconds a message may stay unacknowledged. Long, because the ledger and not the broker brings work back.
VISIBILITY = 12 * 3600


def configuration(known: Settings) -> dict[str, Any]:
    """Celery's configuration for our own app."""
    url, through = known.redis_url, dict[str, Any]()
    encrypted = security.tls(url, known) or None
    if sentinel.is_sentinel(url):
        address = sentinel.parse(url)
        url, through = address.kombu(), {"master_name": address.service}
        if login := security.sentinel_login(known):
            through["sentinel_kwargs"] = login
    return {
        **CONSUMING,
        **CONNECTING,
        "broker_url": url,
        "result_backend": url,
        "broker_use_ssl": encrypted,
        "redis_backend_use_ssl": encrypted,
        "result_backend_transport_options": through,
        "broker_transport_options": {"visibility_timeout": VISIBILITY, **SOCKETS, **through},
        "result_expires": int(known.keep_failed_days * 86400),
        "accept_content": list(security.CONTENT),
        "result_accept_content": list(security.CONTENT),
        "task_serializer": "json",
        "result_serializer": "json",
        "task_default_queue": "default",
        "task_routes": {"content.import": {"queue": "imports"}},  # on workers of its own, where the site wants that
        "task_acks_late": False,             # the ledger brings work back, not the broker
        "task_time_limit": 3600,
        "worker_prefetch_multiplier": 4,
        "worker_concurrency": known.concurrency,
        "worker_soft_shutdown_timeout": known.grace,
        "worker_hijack_root_logger": False,
        "worker_send_task_events": True,     # for Flower
        "task_send_sent_event": True,
        "broker_connection_retry_on_startup": True,
        "timezone": "UTC",
        "enable_utc": True,
        "imports": (*SHIPPED, *known.tasks),
        "beat_scheduler": "schedules.beat:Scheduler",
        "beat_max_loop_interval": 1.0,
    }  # fmt: skip
