"""A death that can be seen is not waited for: a dead node of this host is reaped before its lease is over.

A new node looks before it serves, and upkeep each second. What counts as a proof is in `process.place`. The kernel ends
the children of a worker with it, but not at once: while a child, or what it has started in its process group, is still
there, its run stays with it. Celery asks for that end (PR_SET_PDEATHSIG) when a child begins; one that lives on all the
same costs what it did before, the lease.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from celery.utils.log import get_logger

from celery_anp.process.place import Death, Place, System
from celery_anp.reliability import nodes
from celery_anp.reliability.ledger import Ledger

log = get_logger(__name__)


class Deaths:
    """Reaps the nodes of this host that are dead.

    Args:
        ledger: the ledger, on the connection of the thread that looks.
        system: what this process can see.
    """

    def __init__(self, ledger: Ledger, system: System | None = None) -> None:
        self.ledger = ledger
        self.system = system or System()

    def look(self) -> None:
        """Reap whose lease is over anywhere, and whose death can be proved here.

        Raises:
            LedgerUnavailable: Redis did not answer.
        """
        self.look_at(self.ledger.reap(host=self.system.host))

    def look_at(self, neighbours: Mapping[str, str]) -> None:
        """Reap those of them whose death can be proved.

        Args:
            neighbours: the nodes that live on this host, and where, as `Place` reads it.

        Raises:
            LedgerUnavailable: Redis did not answer.
        """
        for node, text in neighbours.items():
            there = Place.read(text)
            death = there and self.system.death(there, partial(nodes.silence, self.ledger.store, node))
            if death:
                self._reap(node, death)

    def _reap(self, node: str, death: Death) -> None:
        held = self.ledger.held(node)
        gone = {run_id: holder for run_id, holder in held.items() if death.whole or self._is_gone(holder)}
        self.ledger.reap_proved(node, self.system.host, death.reason, gone)
        log.warning("node %s is dead, %s; runs taken back: %d of %d", node, death.reason, len(gone), len(held))

    def _is_gone(self, holder: str) -> bool:
        return self.system.is_gone(holder.partition("|")[2])
