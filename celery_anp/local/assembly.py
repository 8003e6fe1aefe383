"""Everything that `anp up` starts: Redis, what the deployment adds, a worker, a beat and Flower, in this order.

It stops them the other way round, so that no tick is planned that nobody will run and nothing loses its
ledger while it still has something to settle.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import httpx

from celery_anp.local import orphans
from celery_anp.local.embedded import RedisServer
from celery_anp.local.parts import Parts
from celery_anp.local.state_folder import StateFolder
from celery_anp.process.port import HOST, free
from celery_anp.process.service import Service
from celery_anp.process.supervisor import Supervisor
from celery_anp.reliability.ledger import Ledger
from celery_anp.settings import Settings, environment
from celery_anp.values import Secret

#: The port people expect; another is taken when it is in use.
FLOWER_PORT = 5555
#: Seconds for a part to do its work after its start.
HEALTHY_WITHIN = 60.0
#: Order of the stop, with the seconds each has before it is killed; what the deployment adds stops before Redis. The
#: worker may finish what it runs.
STOP_ORDER = {"beat": 5.0, "worker": 20.0, "flower": 3.0}
REDIS_GRACE = 10.0


class Assembly:
    """The parts of one `anp up`.

    Args:
        state: the state folder, held by the caller.
        chosen: this process's settings; what is embedded replaces their addresses.
        parts: what the deployment adds.
    """

    def __init__(self, state: StateFolder, chosen: Settings, parts: Parts) -> None:
        self.state = state
        self.parts = parts
        self.redis = RedisServer.ledger(state.ledger)
        self.servers = parts.servers()
        self.password, self.password_is_new = state.flower_password()
        self.flower_url = f"http://{HOST}:{free(FLOWER_PORT)}"
        self.settings = chosen.model_copy(update={"flower_password": Secret(self.password), "state": state.path})
        self.ledger = Ledger.connect(self.settings)
        self.services: dict[str, Service] = {}
        self._supervisor = Supervisor()

    def start(self, going_on: Callable[[], bool]) -> None:
        """Start every part and wait until each does its work.

        Args:
            going_on: asked again and again; False ends the start early.

        Raises:
            AnpError: a part did not start; the others may run and want a `stop`.
        """
        orphans.adopt()
        self._start_servers()
        self.parts.prepare()
        self.services = {**self.parts.services(self._launch), **self._own()}
        self.state.publish(self._addresses(), {"url": self.flower_url, "user": self.settings.flower_user})
        for name, service in self.services.items():
            self._supervisor.add(name, service)
        for service in self.services.values():
            service.wait(HEALTHY_WITHIN, going_on)

    def troubles(self) -> list[str]:
        """Look at each part, start again what died, and tell what is wrong."""
        servers = [getattr(server, "pid", None) for server in (self.redis, *self.servers.values())]
        orphans.reap((*servers, *(service.pid for service in self.services.values())))
        return self._supervisor.watch()

    def stop_planning(self) -> None:
        """Stop beat alone: no tick is planned after this."""
        self._supervisor.remove("beat", STOP_ORDER["beat"])

    def stop(self) -> None:
        """Stop every part; afterwards no process of the stack is left."""
        for name, grace in {**STOP_ORDER, **self.parts.grace, "redis": REDIS_GRACE}.items():
            self._supervisor.remove(name, grace)
        orphans.end()

    def hurry(self) -> None:
        """Kill what may take long to stop. Redis is not killed: it is quick, and wants to write."""
        for service in self.services.values():
            service.kill()

    def _start_servers(self) -> None:
        self._supervisor.add("redis", self.redis)
        for name, server in self.servers.items():
            self._supervisor.add(name, server)
        self.settings = self.settings.model_copy(update={"redis_url": self.redis.url})
        self.ledger = Ledger.connect(self.settings)

    def _addresses(self) -> dict[str, str]:
        return {"redis_url": self.redis.url, **self.parts.settings()}

    def _own(self) -> dict[str, Service]:
        port = self.flower_url.rpartition(":")[2]
        return {
            "worker": self._anp("worker", healthy=lambda: self._has_lease("worker")),
            "beat": self._anp("beat", healthy=lambda: self._has_lease("beat")),
            "flower": self._anp("flower", "--port", port, healthy=self._flower_answers),
        }

    def _anp(self, name: str, *arguments: str, healthy: Callable[[], bool]) -> Service:
        return self._launch(name, ["-m", "celery_anp", name, *arguments], healthy)

    def _launch(self, name: str, arguments: Sequence[str], healthy: Callable[[], bool]) -> Service:
        # -P: a module in the folder where `anp up` is called must not stand in for one of ours
        argv = [sys.executable, "-P", *arguments]
        return Service(argv, log=self.state.log(name), env=self._environment(), healthy=healthy)

    def _environment(self) -> dict[str, str]:
        own = {"flower_password": self.password, "state": str(self.state.path), "app": self.settings.app}
        return environment(**self._addresses(), **own)

    def _has_lease(self, kind: str) -> bool:
        """Whether this start's process has a living lease; an earlier one's may not be over yet."""
        pid = self.services[kind].pid
        return any(node.kind == kind and node.pid == pid for node in self.ledger.nodes())

    def _flower_answers(self) -> bool:
        login = (self.settings.flower_user, self.password)
        return httpx.get(f"{self.flower_url}/healthcheck", auth=login, timeout=5).status_code == 200
