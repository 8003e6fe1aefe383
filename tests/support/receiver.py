"""A receiver of alerts and pings: a real HTTP server that answers as a test wants."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    body: str
    headers: dict[str, str]


@dataclass
class Receiver:
    """Listens on a free port of this machine until it is left."""

    #: Status codes of the next answers; 200 when there are none left.
    answers: list[int] = field(default_factory=list)
    #: Seconds that each answer takes.
    slow: float = 0.0
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                receiver.requests.append(Request("POST", self.path, body, dict(self.headers)))
                time.sleep(receiver.slow)
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing: the test looks at the requests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"
