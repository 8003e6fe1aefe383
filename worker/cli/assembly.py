"""Everything that `anp up` starts: two Redis, the site, a worker, a beat and Flower, in this order.

It stops them the other way round, so that no tick is planned that nobody will run and nothing loses its
ledger while it still has something to settle.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import httpx
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from worker.child import Child
from worker.cli import offspring
from worker.embedded import RedisServer
from worker.errors import AnpError
from worker.port import HOST, free
from worker.reliability.ledger import Ledger
from worker.settings import Settings, environment
from worker.stack import StateFolder
from worker.supervise import Supervisor

#: Ports people expect; others are taken when these are in use.
SITE_PORT, FLOWER_PORT = 8000, 5555
#: Seconds for a part to do its work after its start.
HEALTHY_WITHIN = 60.0
#: Order of the stop, with the seconds each has before it is killed. The worker may finish what it runs.
STOP_ORDER = {"beat": 5.0, "worker": 20.0, "flower": 3.0, "site": 3.0, "cache": 5.0, "redis": 10.0}


class Assembly:
    """The parts of one `anp up`.

    Args:
        state: the state folder, held by the caller.
        chosen: this process's settings; what is embedded replaces their addresses.
    """

    def __init__(self, state: StateFolder, chosen: Settings) -> None:
        self.state = state
        self.redis = RedisServer.ledger(state.ledger)
        self.cache = RedisServer.cache(state.cache)
        self.password, self.password_is_new = state.flower_password()
        self.flower_url = f"http://{HOST}:{free(FLOWER_PORT)}"
        self.settings = chosen.model_copy(
            update={
                "database_url": state.database_url,
                "site_url": f"http://{HOST}:{free(SITE_PORT)}",
                "flower_password": SecretStr(self.password),
                "state": state.path,
            }
        )
        self.ledger = Ledger.connect(self.settings)
        self.children: dict[str, Child] = {}
        self._supervisor = Supervisor()

    def start(self, going_on: Callable[[], bool]) -> None:
        """Start every part and wait until each does its work.

        Args:
            going_on: asked again and again; False ends the start early.

        Raises:
            AnpError: a part did not start; the others may run and want a `stop`.
        """
        offspring.adopt()
        self._start_redis()
        self._seed()
        self.children = self._made()
        self._publish()
        for name, child in self.children.items():
            self._supervisor.add(name, child)
        for child in self.children.values():
            child.wait(HEALTHY_WITHIN, going_on)

    def troubles(self) -> list[str]:
        """Look at each part, start again what died, and tell what is wrong."""
        parts = (self.redis.pid, self.cache.pid, *(child.pid for child in self.children.values()))
        offspring.reap(parts)
        return self._supervisor.watch()

    def stop_planning(self) -> None:
        """Stop beat alone: no tick is planned after this."""
        self._supervisor.remove("beat", STOP_ORDER["beat"])

    def stop(self) -> None:
        """Stop every part; afterwards no process of the stack is left."""
        for name, grace in STOP_ORDER.items():
            self._supervisor.remove(name, grace)
        offspring.end()

    def hurry(self) -> None:
        """Kill what may take long to stop. The ledgers are not killed: they are quick, and want to write."""
        for child in self.children.values():
            child.kill()

    def _start_redis(self) -> None:
        self._supervisor.add("redis", self.redis)
        self._supervisor.add("cache", self.cache)
        urls = {"redis_url": self.redis.url, "cache_url": self.cache.url}
        self.settings = self.settings.model_copy(update=urls)
        self.ledger = Ledger.connect(self.settings)

    def _seed(self) -> None:
        from worker.demo import content

        try:
            content.seed(self.settings.database_url).dispose()
        except (OSError, SQLAlchemyError) as error:
            raise AnpError(
                "The demo site's database cannot be made", expected="space to write", given=str(error)
            ) from None

    def _publish(self) -> None:
        names = ("redis_url", "cache_url", "database_url", "site_url")
        addresses = {name: str(getattr(self.settings, name)) for name in names}
        self.state.publish(addresses, {"url": self.flower_url, "user": self.settings.flower_user})

    def _made(self) -> dict[str, Child]:
        site_port, flower_port = _port(self.settings.site_url), _port(self.flower_url)
        return {
            "site": self._child("site", "worker.demo", "--port", site_port, healthy=self._site_answers),
            "worker": self._anp("worker", healthy=lambda: self._has_lease("worker")),
            "beat": self._anp("beat", healthy=lambda: self._has_lease("beat")),
            "flower": self._anp("flower", "--port", flower_port, healthy=self._flower_answers),
        }

    def _anp(self, name: str, *arguments: str, healthy: Callable[[], bool]) -> Child:
        return self._child(name, "worker.cli", name, *arguments, healthy=healthy)

    def _child(self, name: str, module: str, *arguments: str, healthy: Callable[[], bool]) -> Child:
        # -P: a folder called "worker" where `anp up` is called must not stand in for ours
        argv = [sys.executable, "-P", "-m", module, *arguments]
        return Child(argv, log=self.state.log(name), env=self._environment(), healthy=healthy)

    def _environment(self) -> dict[str, str]:
        chosen = self.settings
        return environment(
            redis_url=chosen.redis_url,
            cache_url=chosen.cache_url,
            database_url=chosen.database_url,
            site_url=chosen.site_url,
            flower_password=self.password,
            state=str(self.state.path),
        )

    def _has_lease(self, kind: str) -> bool:
        """Whether this start's process has a living lease; an earlier one's may not be over yet."""
        pid = self.children[kind].pid
        return any(node.kind == kind and node.pid == pid for node in self.ledger.nodes())

    def _site_answers(self) -> bool:
        return httpx.get(self.settings.site_url, timeout=5).status_code == 200

    def _flower_answers(self) -> bool:
        login = (self.settings.flower_user, self.password)
        return httpx.get(f"{self.flower_url}/healthcheck", auth=login, timeout=5).status_code == 200


def _port(url: str) -> str:
    return url.rpartition(":")[2]
