"""One look at a page: where it is followed to, what is said to whom, and how long it is waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from celery_anp.cli import page

LOGIN = ("anp", "hidden")


class Pages(BaseHTTPRequestHandler):
    """Sends on, or tells who asked."""

    def do_GET(self) -> None:
        """`/to/<address>` sends there; everything else is a page."""
        moved = self.path.startswith(("/to/", "/circle"))
        self.send_response(302 if moved else 200 if self.path == "/" else 404)
        if moved:
            self.send_header("Location", self.path.removeprefix("/to/"))
        self.end_headers()
        self.wfile.write(f"grüße {self.headers.get('Authorization')}".encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def served() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(5)


def test_a_page_is_its_status_and_its_text(served: str) -> None:
    assert page.look(served) == (200, "grüße None")
    assert page.look(f"{served}/nothing")[0] == 404


def test_the_login_is_said_to_the_one_that_was_asked(served: str) -> None:
    assert page.look(served, LOGIN)[1] == "grüße Basic YW5wOmhpZGRlbg=="
    assert page.look(f"{served}/to//", LOGIN)[1] == "grüße Basic YW5wOmhpZGRlbg=="


def test_the_login_is_not_said_to_another(served: str) -> None:
    elsewhere = served.replace("127.0.0.1", "localhost")
    assert page.look(f"{served}/to/{elsewhere}/", LOGIN) == (200, "grüße None")


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_it_is_not_followed_to_another_kind_of_address(served: str, address: str) -> None:
    with pytest.raises(HTTPException, match="is no page"):
        page.look(f"{served}/to/{address}")


def test_a_circle_ends(served: str) -> None:
    with pytest.raises(HTTPException, match="more than"):
        page.look(f"{served}/circle")
