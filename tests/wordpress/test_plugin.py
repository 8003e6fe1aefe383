"""The plugin works for who signs, once for each request, and answers after the work."""

from __future__ import annotations

import json
import secrets
import time

import httpx
import pytest

from celery_anp.errors import BadSetting
from tests.wordpress.conftest import SECRET
from tests.wordpress.lab import Lab
from worker.settings import Settings
from worker.site.wordpress import ways
from worker.site.wordpress.plugin import Plugin

HELLO = json.dumps({"do": "hello", "limit": 5}).encode()


def refused(lab: Lab, headers: dict[str, str], body: bytes = HELLO, method: str = "POST") -> str:
    answer = httpx.request(method, f"{lab.url}/index.php", content=body, headers=headers)
    assert answer.status_code == 403, answer.text[:300]
    document = answer.json()
    assert document["state"] == "refused"
    return str(document["why"])


def test_a_signed_request_is_answered_after_the_work(lab: Lab, http: Settings) -> None:
    told = ways.chosen(http).ask({"do": "hello"}, limit=5)
    assert (told.state, told.ended) == ("done", True)


def test_a_bad_an_old_or_a_repeated_signature_is_refused(lab: Lab, http: Settings) -> None:
    ours, theirs = Plugin(lab.url, SECRET), Plugin(lab.url, "another secret")
    nonce = secrets.token_hex(16)
    assert "signature is wrong" in refused(lab, theirs.headers(HELLO, nonce=nonce))
    assert "signature is wrong" in refused(lab, ours.headers(HELLO, nonce=nonce), b'{"do": "publish"}')
    now = int(time.time())
    assert "s old" in refused(lab, ours.headers(HELLO, nonce=nonce, at=now - 120))
    assert "s old" in refused(lab, ours.headers(HELLO, nonce=nonce, at=now + 120))
    signed = ours.headers(HELLO, nonce=nonce)
    other = {"X-Anp-Time": str(int(signed["X-Anp-Time"]) + 1)}
    assert "signature is wrong" in refused(lab, signed | other)
    assert "not a signed request" in refused(lab, signed, method="PUT")
    assert "not a signed request" in refused(lab, signed | {"X-Anp-Nonce": "short"})
    first = httpx.post(f"{lab.url}/index.php", content=HELLO, headers=signed)
    assert (first.status_code, first.json()["state"]) == (200, "done")
    assert "made before" in refused(lab, signed)


def test_old_nonces_are_forgotten(lab: Lab, http: Settings) -> None:
    lab.sql("INSERT INTO wp_options (option_name, option_value, autoload) VALUES ('_anp_nonce_old', '1', 'off')")
    ways.chosen(http).ask({"do": "hello"}, limit=5)
    assert lab.sql("SELECT 1 FROM wp_options WHERE option_name = '_anp_nonce_old'") == []


def test_another_secret_is_told_as_a_setting(lab: Lab, http: Settings) -> None:
    with pytest.raises(BadSetting, match=r"refused our request.*same secret") as told:
        Plugin(lab.url, "another secret").ask({"do": "hello"}, limit=5)
    assert "another secret" not in str(told.value)


def test_a_site_without_a_secret_works_for_nobody(lab: Lab, http: Settings) -> None:
    hooks = lab.path / "wp-content" / "mu-plugins" / "0-anp-tests.php"
    text = hooks.read_text()
    hooks.write_text(text.replace(SECRET, ""))
    try:
        assert "no ANP_SECRET" in refused(lab, Plugin(lab.url, "").headers(HELLO, nonce=secrets.token_hex(16)))
    finally:
        hooks.write_text(text)


def test_visitors_pages_are_served_as_before(lab: Lab, plugin: object) -> None:
    assert httpx.get(f"{lab.url}/", headers={"X-Refresh": "1"}).status_code == 200
