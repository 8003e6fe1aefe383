"""Makes a catalog the live one in the ledger, or finds that another one is.

Order, so that a death in between loses nothing: be live, carry renamed schedules over, place the cursors, and only then
write what is declared: a schedule that stands there had its cursor.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from celery.utils.log import get_logger

from celery_anp.beat.catalog import Catalog
from celery_anp.beat.schedule import Schedule
from celery_anp.contract.canonical import canonical, text
from celery_anp.reliability.keyspace import Keyspace
from celery_anp.reliability.live import Generation, Live

log = get_logger(__name__)

#: Characters of what has changed in one schedule, as its history tells it.
WORDS = 300


class Adoption:
    """Whether this beat's schedules are live.

    Args:
        store: the ledger's store.
        release: of this process; empty in development.
        app: by which the ledger tells it from others.
    """

    def __init__(self, store: Keyspace, release: str, app: str) -> None:
        self.live = Live(store)
        self.release = release
        self.app = app
        #: Why this beat plans nothing; empty when it plans.
        self.retired = ""
        self._number = 0
        #: How the schedules were declared before this catalog became live.
        self.before: dict[str, str] = {}

    def adopt(self, catalog: Catalog, *, fresh: bool) -> bool:
        """Ask to be live.

        Args:
            catalog: our schedules.
            fresh: they were just read.

        Returns:
            Whether they are live now.
        """
        answer = self.live.adopt(catalog.digest, self.release, fresh=fresh, app=self.app)
        if answer.word == "taken" and self._number >= answer.number:
            log.error("the schedules' state was gone from Redis: it is set up anew, from the files and what is known")
        if answer.word in ("retired", "foreign"):
            said = f"it plans nothing: {self._others(answer)} are live, its own have the digest {catalog.digest}"
            if said != self.retired:
                log.error("beat is retired: %s", said)
            self.retired = said
            return False
        if answer.word == "taken":
            log.info("generation %d: release %r, digest %s", answer.number, answer.release, catalog.digest)
        self.retired, self._number = "", answer.number
        self.before = self.live.declared()
        self._carry_over(catalog)
        return True

    def _others(self, answer: Generation) -> str:
        if answer.word == "foreign":
            return f"the schedules of the app {answer.app!r}, whose ledger {self.app!r} shares (see ANP_PREFIX),"
        whose = f"release {answer.release}" if answer.release else f"a beat with the digest {answer.digest}"
        return f"the schedules of {whose}"

    def publish(self, catalog: Catalog) -> None:
        """Write how the schedules are declared, now that their cursors are placed."""
        by = f"release {self.release}" if self.release else "files"
        self.live.publish(catalog.digest, by, list(changes(self.before, catalog)))

    def _carry_over(self, catalog: Catalog) -> None:
        """Renamed schedules keep cursor and pause; a rollback of a rename is a rename back."""
        for schedule in catalog.values():
            if schedule.renamed_from and self.live.rename(schedule.name, schedule.renamed_from):
                log.info("%s goes on as %s", schedule.renamed_from, schedule.name)
        for name, said in self.before.items():
            old = json.loads(said).get("renamed_from")
            if old in catalog and name not in catalog and self.live.rename(old, name):
                log.info("%s goes on as %s again", name, old)


def declaration(schedule: Schedule) -> str:
    """How a schedule is declared, as the ledger keeps it: JSON without what stands at its default."""
    return text(canonical(schedule, schedule.model_dump(mode="json", exclude={"file"}, exclude_defaults=True)))


def changes(before: Mapping[str, str], catalog: Mapping[str, Schedule]) -> Iterator[tuple[str, str, str]]:
    """What differs from what was live.

    Args:
        before: by schedule its declaration.
        catalog: what is live from now on.

    Yields:
        Name, declaration (empty for one that is gone), and words for its history (empty for a new one).
    """
    for name, schedule in catalog.items():
        said = declaration(schedule)
        if said != before.get(name):
            yield name, said, words(json.loads(before[name]), json.loads(said)) if name in before else ""
    for name in before.keys() - catalog.keys():
        yield name, "", "no longer declared"


def words(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What has changed in one declaration, in one line; of its input only which fields, for one may be a secret."""
    keys = differing(before, after)
    said = "; ".join(f"{key}: {_shown(before.get(key))} -> {_shown(after.get(key))}" for key in keys if key != "input")
    if "input" in keys:
        fields = differing(before.get("input", {}), after.get("input", {}))
        said = "; ".join([*([said] if said else []), f"input: {', '.join(fields)}"])
    return said if len(said) <= WORDS else said[: WORDS - 1] + "…"


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The keys that two mappings do not agree on."""
    return [key for key in {**before, **after} if before.get(key) != after.get(key)]


def _shown(value: object) -> str:
    return "-" if value is None else json.dumps(value, ensure_ascii=False)
