"""The profiles: a demo site that the workers keep fresh, and metrics that nobody reaches from outside."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from celery_anp.reliability.live import Live
from celery_anp.reliability.run import Run
from tests.stack.compose import IMAGE, ROOT, Compose
from tests.support.eventually import eventually

SITE = ("publish-due-posts", "warm-hot-pages", "rebuild-sitemap")


# -- the demo site ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(compose: Compose) -> Iterator[httpx.Client]:
    """The demo site on its MariaDB, and what a reader gets of it."""
    compose.up("demo")
    with httpx.Client(base_url=f"http://{compose.address('demo')}:8000", timeout=20, trust_env=False) as client:
        yield client
    compose("rm", "-sf", "demo", "mariadb")


def first_success(compose: Compose, schedule: str) -> Run:
    """The newest tick of a schedule that succeeded as expected."""
    runs = compose.ledger().runs(1, schedule=schedule, state="succeeded")
    assert runs, [(run.state, run.reason) for run in compose.ledger().runs(3, schedule=schedule)]
    assert runs[0].as_expected
    return runs[0]


def test_the_workers_publish_warm_and_build_the_sitemap_of_the_demo_site(compose: Compose, site: httpx.Client) -> None:
    def published() -> Run:
        run = first_success(compose, "publish-due-posts")
        assert run.result["count"] > 0
        return run

    run = eventually(published, 60, "a due post to be published")
    assert run
    assert run.lateness is not None
    front = site.get("/")
    assert (front.status_code, front.text.count("<article") > 0) == (200, True)
    compose("exec", "-T", "worker", "anp", "schedules", "trigger", "rebuild-sitemap", "--wait")
    compose("exec", "-T", "worker", "anp", "schedules", "trigger", "warm-hot-pages", "--wait")
    parts = re.findall(r"<loc>http://demo:8000(/[^<]+)</loc>", site.get("/sitemap.xml").text)
    posts = [post for part in parts for post in re.findall(r"<loc>http://demo:8000(/[^<]+)</loc>", site.get(part).text)]
    assert len(posts) > 2000, "the sitemap names every post, also the ones published since the start"
    assert site.get(posts[-1]).status_code == 200
    # Each publish clears the front page, so it may be rendered anew once.
    eventually(lambda: site.get("/").headers["X-Cache"] == "HIT", 20, "a kept page")


def test_the_sites_schedules_are_live_while_it_is_served(compose: Compose, site: httpx.Client) -> None:
    def live() -> set[str]:
        return set(Live(compose.ledger().store).declared())

    shipped = tomllib.loads((ROOT / "schedules" / "site.toml").read_text(encoding="utf-8"))["schedule"]
    eventually(lambda: live() == {"tick", *(one["name"] for one in shipped)}, 20, "all schedules to be live")
    compose("stop", "demo")
    eventually(lambda: live() == {"tick"}, 20, "the site's schedules to be gone with it")
    compose.unbroken_ticks()


# -- metrics ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prometheus(compose: Compose) -> Iterator[httpx.Client]:
    """Prometheus, which scrapes the ledger's metrics."""
    compose.up("metrics", "prometheus")
    with httpx.Client(base_url=f"http://{compose.address('prometheus')}:9090", timeout=20, trust_env=False) as client:
        yield client
    compose("rm", "-sf", "metrics", "prometheus")


def ask(prometheus: httpx.Client, query: str) -> list[dict[str, Any]]:
    """What Prometheus answers to a query."""
    answer = prometheus.get("/api/v1/query", params={"query": query}).json()
    assert answer["status"] == "success", (query, answer)
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def value(prometheus: httpx.Client, query: str) -> float:
    """The one number that a query gives."""
    (found,) = ask(prometheus, query)
    return float(found["value"][1])


def test_prometheus_scrapes_what_the_ledger_says(compose: Compose, prometheus: httpx.Client) -> None:
    succeeded = 'anp_runs_ended_total{task="probe.add",state="succeeded"}'
    before = compose.ledger().counts()["probe.add", "succeeded"]
    eventually(lambda: value(prometheus, succeeded) >= before, 40, "a scrape after that")
    assert value(prometheus, succeeded) <= compose.ledger().counts()["probe.add", "succeeded"]
    nodes = {one["metric"]["kind"]: float(one["value"][1]) for one in ask(prometheus, "sum by (kind) (anp_nodes)")}
    assert nodes == {"worker": 3, "beat": 2}
    assert value(prometheus, "anp_ledger_up") == 1


def test_every_alert_can_be_worked_out_and_none_is_raised_by_a_healthy_stack(prometheus: httpx.Client) -> None:
    def rules() -> list[dict[str, Any]]:
        groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        assert all(rule["health"] == "ok" for rule in found), [rule.get("lastError") for rule in found]
        return found

    found = eventually(rules, 40, "every rule to be worked out")
    assert found
    assert len(found) > 10
    firing = {rule["name"] for rule in found if rule["state"] == "firing"}
    assert firing <= {"Quarantined"}, "other tests here have made a run fail for good"


def test_alerts_fire_for_what_they_are_named_after(compose: Compose) -> None:
    tests = compose.folder / "deploy/prometheus/rules.test.yml"
    done = compose(
        "run", "--rm", "--no-deps", "-T", "--entrypoint", "promtool", "prometheus", "test", "rules",
        f"/etc/prometheus/{tests.name}",
    )  # fmt: skip
    assert "SUCCESS" in done.stdout + done.stderr


def test_each_question_of_the_dashboard_is_answered(compose: Compose, prometheus: httpx.Client) -> None:
    grafana = compose.folder / "deploy/grafana"
    dashboard = json.loads((grafana / "dashboards/anp.json").read_text())
    known = set(prometheus.get("/api/v1/label/__name__/values").json()["data"])
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [note["expr"] for note in dashboard["annotations"]["list"]]
    rules = (compose.folder / "deploy/prometheus/rules.yml").read_text()
    for expression in asked:
        ask(prometheus, expression)
    # Nothing is late or stopped here, so these two have no series; tests/integration/test_metrics.py has them.
    absent = {"anp_schedule_late_seconds", "anp_schedule_stopped"}
    assert set(re.findall(r"anp_\w+", " ".join(asked) + rules)) - known <= absent
    uid = (grafana / "datasources/prometheus.yml").read_text().split("uid: ")[1].split()[0]
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {uid}


def test_nothing_behind_is_reached_from_outside(compose: Compose, prometheus: httpx.Client) -> None:
    behind = {"metrics": 9808, "prometheus": 9090, "redis": 6379, "cache": 6379}
    for service in behind:
        settings = compose.inspect(compose.containers(service)[0])["NetworkSettings"]
        assert not any(settings["Ports"].values()), service
        assert list(settings["Networks"]) == [f"{compose.name}_back"], service
    places = [(compose.address(service), number) for service, number in behind.items()]
    knock = (
        "import socket, sys\n"
        f"for place in {places}:\n"
        "    try: socket.create_connection(place, 1); print('open', place)\n"
        "    except OSError: pass\n"
    )
    tried = ("run", "--rm", "--entrypoint", "python", "--network")
    assert compose.docker(*tried, f"{compose.name}_front", IMAGE, "-c", knock).stdout == ""
    assert compose.docker(*tried, f"{compose.name}_back", IMAGE, "-c", knock).stdout.count("open") == len(places)
