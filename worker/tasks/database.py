"""The database's care: are the queries that matter still answered as they were?"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, NonNegativeInt

from celery_anp.reliability.retry import Retries
from worker.app import app
from worker.settings import settings
from worker.site.posts import Posts
from worker.site.queries import baseline, declared
from worker.site.queries.compare import Finding, compare


class Reviewed(BaseModel):
    """What a review found."""

    model_config = ConfigDict(frozen=True)

    #: Queries that were looked at.
    queries: NonNegativeInt
    #: What got worse, each with the index to add.
    findings: list[Finding]
    #: Queries without a baseline: `anp db baseline` takes one.
    without_baseline: list[str]


@app.task(
    name="db.review_queries",
    owner="operations",
    expects="no watched query has a worse plan than its baseline",
    no_rollback="reads only",
    retries=Retries(max=3),
    time_limit=600,
    confirm=lambda result: not result.findings,
)
def review_queries(queries: list[str] = []) -> Reviewed:  # noqa: B006  never changed
    """Explain the watched queries on the site's database and compare with their baseline.

    Args:
        queries: names of some of them; all without.
    """
    known = settings()
    engine = Posts.connect(known).engine
    wanted = declared.named(declared.declared(known.queries), queries)
    compared = compare(engine, wanted, baseline.kept(engine))
    return Reviewed(
        queries=len(compared),
        findings=[finding for one in compared for finding in one.findings],
        without_baseline=[one.query for one in compared if one.before is None],
    )
