"""WordPress' code run over HTTP through our must-use plugin (deploy/wordpress/anp.php).

A request is signed over its time, a nonce and its body; the plugin takes each nonce once and answers after the work.
Limit: what the site does once the connection breaks is not known here, and nothing ends a hook that never does.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import httpx

from celery_anp.errors import BadSetting
from worker.site.wordpress.way import Told

#: Seconds beyond a piece of work's limit that its answer is waited for.
MARGIN = 5.0
CONNECT = 5.0


class Plugin:
    """The way over HTTP.

    Args:
        site_url: where the site answers.
        secret: what the site knows as ANP_SECRET.
    """

    def __init__(self, site_url: str, secret: str) -> None:
        self.url = f"{site_url}/index.php"
        self._secret = secret.encode()

    def ask(self, job: dict[str, Any], *, limit: float, stop: Callable[[], bool] = lambda: False) -> Told:  # noqa: ARG002
        """As `Way.ask`; `stop` is not asked, for a request that was sent cannot be taken back."""
        body = json.dumps({**job, "limit": int(limit)}).encode()
        nonce = secrets.token_hex(16)
        try:
            timeout = httpx.Timeout(CONNECT, read=limit + MARGIN)
            answer = httpx.post(self.url, content=body, headers=self.headers(body, nonce=nonce), timeout=timeout)
        except httpx.ConnectError as error:
            return Told("", f"{self.url} does not answer: {error}", ended=True)
        except httpx.HTTPError as error:
            return Told("", f"{self.url} did not answer: {type(error).__name__} {error}".rstrip(), ended=False)
        return self._told(answer, nonce)

    def headers(self, body: bytes, *, nonce: str, at: int | None = None) -> dict[str, str]:
        """The headers of a signed request.

        Args:
            body: what is sent.
            nonce: 32 hexadecimal digits, never used before.
            at: epoch seconds in place of now.
        """
        moment = str(int(time.time()) if at is None else at)
        signature = self._digest(f"anp\n{moment}\n{nonce}\n".encode() + body)
        return {
            "Content-Type": "application/json",
            "X-Anp-Time": moment,
            "X-Anp-Nonce": nonce,
            "X-Anp-Signature": signature,
        }

    def _told(self, answer: httpx.Response, nonce: str) -> Told:
        signed = self._digest(f"answer\n{nonce}\n".encode() + answer.content)
        genuine = hmac.compare_digest(signed, answer.headers.get("X-Anp-Answer", ""))
        said = _document(answer)
        if answer.status_code == httpx.codes.FORBIDDEN and said.get("state") == "refused":
            raise BadSetting(
                "The plugin of the WordPress refused our request",
                expected="ANP_WORDPRESS_SECRET as ANP_SECRET there, and clocks that agree",
                given=str(said.get("why")),
            )
        if genuine:
            return Told(str(said.get("state", "")), str(said.get("why", "")), ended=True, data=said)
        # A hook that ended its process looks like this too: the caller looks at what is written down.
        what = f"{answer.status_code} {answer.headers.get('Content-Type', '')}".strip()
        known = "; is deploy/wordpress/anp.php in its wp-content/mu-plugins?" if answer.is_success else ""
        return Told("", f"{self.url} answered {what}, and not our plugin{known}", ended=True)

    def _digest(self, text: bytes) -> str:
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
