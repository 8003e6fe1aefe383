"""Celery's configuration: what each guarded app gets, and the whole of an app that `create_app` makes."""

from __future__ import annotations

from typing import Any

from celery_anp import security
from celery_anp.deployment import Deployment
from celery_anp.reliability import sentinel
from celery_anp.settings import Settings

#: The task modules that come with the engine.
OWN = ("celery_anp.tasks.maintenance", "celery_anp.tasks.system")
#: Celery's own consumer would fail a run whose task it does not know; ours parks it.
CONSUMING = {"worker_consumer": "celery_anp.seams.consumer:LedgerConsumer"}
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


def configuration(known: Settings, deployment: Deployment) -> dict[str, Any]:
    """Celery's configuration for an app of `create_app`.

    Args:
        known: the settings.
        deployment: whose tasks and routes are among it.
    """
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
        "task_routes": dict(deployment.routes),
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
        "imports": (*OWN, *deployment.tasks, *known.tasks),
        "beat_scheduler": "celery_anp.beat:Scheduler",
        "beat_max_loop_interval": 1.0,
    }  # fmt: skip
