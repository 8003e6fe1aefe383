"""Sources from an https address: limits, redirects, and addresses that may not be asked."""

from __future__ import annotations

import io
import resource
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from celery_anp.errors import BadInput, BadSource, LimitExceeded
from worker.settings import Settings
from worker.site.importing import addresses, download, location
from worker.tasks.importing import import_content

BODY = b'{"id": 1}\n'


class Site(BaseHTTPRequestHandler):
    """Answers as its path says."""

    def do_GET(self) -> None:
        _, word, *rest = self.path.split("/", 2)
        if word == "to":
            self.send_response(302)
            self.send_header("Location", rest[0])
            self.end_headers()
            return
        self.send_response(int(rest[0]) if word == "status" else 200)
        if word == "packed":
            self.send_header("Content-Encoding", "gzip")
        if word == "long":
            self.send_header("Content-Length", str(10**10))
        self.end_headers()
        self.wfile.write(BODY * (1000 if word == "endless" else 1))

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory, openssl: str) -> Path:
    """A certificate for localhost with its key, made for this test run."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    key = path.with_name("key.pem")
    command = [
        openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout", str(key), "-out", str(path),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


@pytest.fixture(scope="module")
def site(certificate: Path) -> Iterator[str]:
    """An https server on loopback; its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def loopback_is_fine(address: str) -> bool:
    return address == "127.0.0.1" or addresses.is_public(address)


@pytest.fixture
def fetch(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Downloads, with loopback as a public address."""
    # localhost is ::1 too, where nobody listens
    real = socket.getaddrinfo
    named = {"localhost": "127.0.0.1"}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **names: real(named.get(host, host), *more, **names))

    def fetched(url: str, limit: int = 1000, into: Any = None, **options: Any) -> bytes:
        into = into or io.BytesIO()
        trusted = ssl.create_default_context(cafile=certificate)
        download.fetch(url, into, limit, **{"judge": loopback_is_fine, "trusted": trusted, **options})
        return bytes(into.getvalue())

    return fetched


def test_a_file_comes_whole_also_by_a_redirect(fetch: Any, site: str) -> None:
    assert fetch(f"{site}/file") == BODY
    assert fetch(f"{site}/to//file") == BODY


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("to/https://127.0.0.2/", "The host '127.0.0.2' may not be asked. Expected: a public address"),
        ("to/https://10.0.0.1/latest", "The host '10.0.0.1' may not be asked"),
        ("to/https://169.254.169.254/", "The host '169.254.169.254' may not be asked"),
        ("to/https://[::ffff:10.0.0.1]/", "may not be asked"),
        ("to/http://localhost/", "Expected: an address with https://"),
        ("to/file:///etc/passwd", "Expected: an address with https://"),
        ("to/https://me:secret@localhost/", "tells a login"),
        ("status/404", "Given: 404"),
        ("packed", "was not asked to be"),
    ],
)
def test_what_may_not_be_asked_or_does_not_fit_is_refused(fetch: Any, site: str, path: str, said: str) -> None:
    with pytest.raises(BadSource) as refused:
        fetch(f"{site}/{path}")
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_name_that_resolves_to_a_private_address_is_refused_by_the_usual_judge(fetch: Any, site: str) -> None:
    with pytest.raises(BadSource, match="The host 'localhost' may not be asked") as refused:
        fetch(f"{site}/file", judge=addresses.is_public)
    assert "it is 127.0.0.1" in str(refused.value)


def test_the_address_that_was_judged_is_the_one_that_is_connected_to(
    fetch: Any, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers with a public address first and with a private one a moment later."""
    answers = iter(["127.0.0.1"])
    port = int(site.rpartition(":")[2])

    def rebinding(host: str, *_: Any, **__: Any) -> Any:
        address = next(answers, "127.0.0.9") if host == "localhost" else host
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert fetch(f"{site}/file") == BODY


def test_a_redirect_without_end_and_a_file_without_end_end(fetch: Any, site: str) -> None:
    with pytest.raises(LimitExceeded, match="at most 1000 bytes"):
        fetch(f"{site}/endless")
    with pytest.raises(LimitExceeded, match="Given: 10000000000 bytes"):
        fetch(f"{site}/long")
    with pytest.raises(BadSource, match="redirects too often"):
        fetch(f"{site}/to//to//to//to//to//to//to//file")


def test_a_certificate_that_nobody_signed_is_refused(fetch: Any, site: str) -> None:
    with pytest.raises(BadSource, match="does not answer") as refused:
        fetch(f"{site}/file", trusted=ssl.create_default_context())
    assert refused.value.retry_safe


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True), ("2606:2800:21f::1", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("172.16.0.1", False), ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.0.1", False),
        ("0.0.0.0", False), ("224.0.0.1", False), ("::1", False), ("fe80::1%eth0", False), ("fd00::1", False),
        ("::ffff:127.0.0.1", False), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert addresses.is_public(address) is public


@pytest.mark.parametrize("address", ["http://example.org/feed", "https://me:secret@example.org/feed", "ftp://x/y"])
def test_an_address_that_may_never_be_asked_is_refused_when_enqueued(address: str) -> None:
    with pytest.raises(BadInput) as refused:
        import_content.apply_async(kwargs={"source": "feed", "location": address, "format": "ndjson"})
    assert "secret" not in str(refused.value)


def test_a_disk_that_fills_up_during_a_download_says_so(
    fetch: Any, site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "fetch", lambda url, into, limit: into.write(b"x" * 50_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(BadSource, match="could not be put on the disk") as full:
            location.opened("https://example.org/feed", Settings(state=tmp_path)).__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert full.value.retry_safe
    assert not list(tmp_path.iterdir())
