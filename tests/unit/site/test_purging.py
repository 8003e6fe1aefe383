"""Page caches behind one adapter: nginx' files, PURGE requests, refresh requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from celery_anp.errors import BadSetting
from worker.settings import Settings
from worker.site import purging
from worker.site.purging import Files, NotPurged, Purge, Refresh


class Server(BaseHTTPRequestHandler):
    """Answers as its path says: `/404/` with 404."""

    asked: ClassVar[list[tuple[str, str, str]]] = []

    def answer(self) -> None:
        self.asked.append((self.command, self.path, self.headers.get("X-Refresh", "")))
        self.send_response(int(self.path.strip("/") or 200))
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PURGE = do_GET = answer  # noqa: N815  http.server's names

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    Server.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("levels", "folder"), [("1", "8"), ("1:2", "8/b2"), ("2:1:2", "28/b/75")])
def test_a_page_lies_where_nginx_puts_it(tmp_path: Path, levels: str, folder: str) -> None:
    pages = Files(tmp_path, levels, "{method}{path}", "http://x")
    assert pages.file("/") == tmp_path / folder / "e0e39d220ff38421b6dd61a998975b28"  # md5 of GET/


def test_a_key_may_name_scheme_and_host(tmp_path: Path) -> None:
    plain = Files(tmp_path, "1", "httpsGETexample.test/a/", "https://example.test")
    named = Files(tmp_path, "1", "{scheme}{method}{host}{path}", "https://example.test")
    assert named.file("/a/") == plain.file("")


def test_files_are_deleted_and_others_stay(tmp_path: Path) -> None:
    pages = Files(tmp_path, "1:2", "{method}{path}", "http://x")
    for path in ("/", "/a/", "/b/"):
        pages.file(path).parent.mkdir(parents=True, exist_ok=True)
        pages.file(path).write_text(path)
    assert pages.purge(["/", "/a/", "/nowhere/", "/../../etc/passwd"]) == 2
    assert pages.file("/b/").read_text() == "/b/"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    known = Settings(site_kind="wordpress", page_cache="files", page_cache_folder=tmp_path / "gone")
    with pytest.raises(BadSetting, match="ANP_PAGE_CACHE_FOLDER"):
        purging.web_server(known)


def test_purge_asks_for_each_page_and_counts_what_was_kept(url: str) -> None:
    assert Purge(url).purge(["/", "/200/", "/404/", "/412/"]) == 2
    assert sorted(Server.asked) == [("PURGE", path, "") for path in ("/", "/200/", "/404/", "/412/")]


@pytest.mark.parametrize("status", ["403", "405", "500"])
def test_a_refused_purge_is_an_error(url: str, status: str) -> None:
    with pytest.raises(NotPurged, match=status):
        Purge(url).purge(["/", f"/{status}/"])


def test_many_pages_that_are_not_kept_are_no_error(url: str) -> None:
    assert Purge(url).purge(["/404/"] * 40) == 0


def test_a_cache_that_is_away_is_asked_a_few_times_and_told() -> None:
    with pytest.raises(NotPurged, match="no answer"):
        Purge("http://127.0.0.1:1").purge(["/"] * 1000)


def test_refresh_sends_the_header_and_lets_pages_be_gone(url: str) -> None:
    headers = purging.header(Settings(page_cache_header="X-Refresh: yes"))
    assert Refresh(url, headers).purge(["/", "/404/"]) == 1
    assert sorted(Server.asked) == [("GET", "/", "yes"), ("GET", "/404/", "yes")]  # side by side, in any order
    with pytest.raises(NotPurged):
        Refresh(url, headers).purge(["/500/"])
