"""A Redis that is asked over TLS and wants to know who asks, with real certificates; for whatever anp asks of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from celery_anp.errors import LedgerUnavailable
from celery_anp.process.port import free
from celery_anp.reliability.store import Store, connect
from celery_anp.settings import read
from tests.stack.compose import Compose
from tests.support.eventually import eventually
from tests.support.stack import Stack

PASSWORD = "encrypted0123456789"
EACH_SECOND = '[[schedule]]\nname = "s"\ntask = "probe.add"\nevery = "1s"\ninput = { x = 1, y = 2 }\n'


@dataclass(frozen=True)
class Papers:
    """An authority of our own, what it signed, and one that nobody trusts."""

    folder: Path

    def make(self) -> None:
        """By openssl, as an operator would."""
        for authority in ("ca", "stranger"):
            self._openssl("req", "-x509", "-nodes", "-subj", f"/CN={authority}", "-keyout", f"{authority}.key",
                          "-out", f"{authority}.crt")  # fmt: skip
        for name, names in (("server", "IP:127.0.0.1"), ("client", "DNS:anp")):
            (self.folder / f"{name}.ext").write_text(f"subjectAltName={names}\n", encoding="utf-8")
            self._openssl(
                "req", "-new", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr"
            )
            self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                          "-extfile", f"{name}.ext", "-out", f"{name}.crt")  # fmt: skip
        for path in (self.folder, *self.folder.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def _openssl(self, command: str, *arguments: str) -> None:
        lasts = () if "-new" in arguments else ("-days", "1")
        key = ("-newkey", "rsa:2048") if command == "req" else ()
        subprocess.run(["openssl", command, *key, *lasts, *arguments], cwd=self.folder, check=True, capture_output=True)

    def settings(self, ca: str = "ca") -> dict[str, str]:
        """As anp is told of them."""
        return {
            "tls_ca": str(self.folder / f"{ca}.crt"), "tls_cert": str(self.folder / "client.crt"),
            "tls_key": str(self.folder / "client.key"),
        }  # fmt: skip


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """The certificates."""
    if shutil.which("openssl") is None:
        pytest.fail("openssl is needed to make certificates")
    made = Papers(tmp_path_factory.mktemp("papers"))
    made.make()
    for path in made.folder.parents:
        if path.stat().st_uid == made.folder.stat().st_uid and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o011)
    return made


@pytest.fixture(scope="module")
def url(compose: Compose, papers: Papers) -> Iterator[str]:
    """A Redis that speaks TLS only, and only with who has a certificate of the authority."""
    number = free()
    name = f"{compose.name}-tls"
    compose.docker(
        "run", "-d", "--name", name, "-p", f"127.0.0.1:{number}:6379", "-v", f"{papers.folder}:/papers:ro",
        "--tmpfs", "/data:mode=1777", "redis:8", "redis-server", "--port", "0", "--tls-port", "6379",
        "--tls-cert-file", "/papers/server.crt", "--tls-key-file", "/papers/server.key",
        "--tls-ca-cert-file", "/papers/ca.crt", "--tls-auth-clients", "yes", "--requirepass", PASSWORD,
        "--appendonly", "yes",
    )  # fmt: skip
    yield f"rediss://:{PASSWORD}@127.0.0.1:{number}/0"
    compose.docker("rm", "-f", "-v", name)


@pytest.fixture
def trusted(papers: Papers, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is told of the certificates, too."""
    for name, path in papers.settings().items():
        monkeypatch.setenv(f"ANP_{name.upper()}", path)
    read.cache_clear()
    yield
    read.cache_clear()


@pytest.mark.usefixtures("trusted")
def test_broker_results_ledger_and_cache_are_asked_over_tls(url: str, papers: Papers, tmp_path: Path) -> None:
    eventually(lambda: connect(url, retries=0).ping(), 20, "the Redis to answer")
    with Stack(tmp_path, url, {**papers.settings(), "cache_url": url.replace("/0", "/1")}) as stack:
        stack.worker()
        stack.beat(schedules=EACH_SECOND)
        eventually(lambda: len(stack.ledger.runs(100, schedule="s", state="succeeded")) >= 3, 30, "ticks over TLS")
        done = stack.anp("tasks", "run", "probe.add", "x=2", "y=3", "--wait")
        assert done.returncode == 0, done.stderr
        assert stack.anp("cache", "keys").returncode == 0
        points = json.loads(stack.anp("check", "--json").stdout)["points"]
        encrypted = [point for point in points if "encrypted" in point["what"]]
        assert [point["ok"] for point in encrypted] == [True, True]
        assert "Traceback" not in "".join(process.said() for process in stack.processes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tls_ca": "/stranger.crt"}, "CERTIFICATE_VERIFY_FAILED"),
        ({"tls_ca": ""}, "CERTIFICATE_VERIFY_FAILED"),
        ({"host": "localhost"}, "CERTIFICATE_VERIFY_FAILED|doesn't match|mismatch"),
        ({"tls_cert": "", "tls_key": ""}, "."),
        ({"scheme": "redis"}, "."),
    ],
    ids=["a stranger's authority", "an authority nobody named", "another host's certificate", "no client certificate",
         "plain text"],
)  # fmt: skip
def test_who_cannot_be_known_is_not_talked_to(
    url: str, papers: Papers, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], said: str
) -> None:
    for name, path in papers.settings().items():
        changed = change.get(name, path).replace("/stranger.crt", str(papers.folder / "stranger.crt"))
        monkeypatch.setenv(f"ANP_{name.upper()}", changed)
    read.cache_clear()
    address = url.replace("127.0.0.1", change.get("host", "127.0.0.1"))
    address = address.replace("rediss://", f"{change.get('scheme', 'rediss')}://")
    try:
        with pytest.raises(LedgerUnavailable, match=f"(?s){said}"):
            Store(connect(address, timeout=2, retries=0), "anp").check_server()
    finally:
        read.cache_clear()
