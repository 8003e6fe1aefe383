"""The ledger's keys without redis-py, whose import alone costs more CPU than a command may: for `anp` and its checks.

One connection and one thread, and the few commands that the ledger reads with. Limit: only `redis://` and `rediss://`
without options; what else a URL can say is redis-py's (`reachable` tells).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from celery_anp import security
from celery_anp.errors import AnpError
from celery_anp.reliability import keyspace
from celery_anp.reliability.keyspace import TIMEOUT, Keyspace, script_text
from celery_anp.settings import Settings

#: Seconds before a command is sent again whose connection was lost.
PAUSES = (0.05, 0.1, 0.2)
#: What Redis says to who may not.
FORBIDDEN = ("NOAUTH ", "NOPERM ", "WRONGPASS ")
#: What it says to one connection too many, before it ends that.
CROWDED = b"-ERR max number of clients"
#: Commands whose name on the wire is another than redis-py's.
NAMES = {"delete": "DEL"}


def reachable(url: str) -> bool:
    """Whether a URL says nothing that only redis-py knows."""
    asked = urlsplit(url)
    return asked.scheme in {"redis", "rediss"} and bool(asked.hostname) and not asked.query


class Refusal(Exception):
    """An error that Redis answered."""


class Connection:
    """One connection in RESP2.

    Args:
        url: of the Redis, `reachable`.
        timeout: seconds for connecting and for each answer.
        known: the settings, for TLS; None reads this process's.
    """

    def __init__(self, url: str, timeout: float, known: Settings | None = None) -> None:
        self.url, self.timeout, self._known = url, timeout, known
        self._socket: socket.socket | None = None
        self._answers: Any = None

    @property
    def database(self) -> int:
        """The number that the path of its URL says, read as redis-py does: 0 where it says none."""
        said = unquote(urlsplit(self.url).path).replace("/", "")
        try:
            return int(said)
        except ValueError:
            return 0

    def ask(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands in one piece.

        Returns:
            What Redis answers to each; a `Refusal` stands in its place.

        Raises:
            OSError: it does not answer.
        """
        try:
            if self._socket is None:
                self._open()
            return self._asked(commands)
        except BaseException:  # whatever it is: what is left of an answer is not the next one's
            self.close()
            raise

    def close(self) -> None:
        """End it; the next command opens another."""
        if self._socket is not None:
            self._answers.close()
            self._socket.close()
            self._socket = None

    def _open(self) -> None:
        asked = urlsplit(self.url)
        at = (asked.hostname or "", asked.port or 6379)
        try:
            # as bytes: a name in ASCII needs no table of the world's letters
            place: Any = at[0].encode() if at[0].isascii() else at[0]
            opened = self._encrypted(socket.create_connection((place, at[1]), self.timeout), at[0])
        except TimeoutError:
            raise TimeoutError(f"Timeout connecting to {at[0]}:{at[1]}") from None
        except OSError as error:
            raise ConnectionError(
                f"Error {error.errno} connecting to {at[0]}:{at[1]}. {error.strerror or error}."
            ) from None
        self._socket, self._answers = opened, opened.makefile("rb")
        *login, selected = self._asked([*_login(asked), ("SELECT", self.database)])
        for answer in login:
            if isinstance(answer, Refusal):
                raise _not_let_in(str(answer))
        _accepted(selected)

    def _encrypted(self, plain: socket.socket, host: str) -> socket.socket:
        options = security.tls(self.url, self._known)
        if not options:
            return plain
        import ssl  # only who encrypts pays for it

        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        context.minimum_version = options["ssl_min_version"]
        if "ssl_certfile" in options:
            context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
        return context.wrap_socket(plain, server_hostname=host)

    def _asked(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        assert self._socket is not None
        try:
            self._socket.sendall(b"".join(_packed(command) for command in commands))
            return [self._answer() for _ in commands]
        except TimeoutError:
            raise TimeoutError("Timeout reading from socket") from None

    def _answer(self) -> Any:
        line = self._answers.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Connection closed by server.")
        kind, said = line[:1], line[1:-2].decode("utf-8", keyspace.HALVES)
        if line.startswith(CROWDED):
            raise ConnectionError(said)
        if kind in b"$*":
            return self._long(kind, int(said))
        return Refusal(said) if kind == b"-" else int(said) if kind == b":" else said

    def _long(self, kind: bytes, size: int) -> Any:
        if size < 0:
            return None
        if kind == b"*":
            return [self._answer() for _ in range(size)]
        held = self._answers.read(size + 2)
        if len(held) < size + 2:
            raise ConnectionError("Connection closed by server.")
        return held[:-2].decode("utf-8", keyspace.HALVES)


class DirectStore(Keyspace):
    """Runs the ledger's scripts over one connection of one thread.

    Args:
        connection: to its Redis.
        prefix: first part of every key, without the colon.
        pauses: seconds before each further try of a command that was not answered.
    """

    def __init__(self, connection: Connection, prefix: str, pauses: Sequence[float] = PAUSES) -> None:
        super().__init__(connection, prefix)
        self._name, self._pauses = prefix, tuple(pauses)

    @classmethod
    def of(cls, settings: Settings) -> DirectStore:
        """The one that the settings name; connects on first use."""
        return cls(Connection(settings.redis_url, TIMEOUT, settings), settings.prefix)

    @property
    def database(self) -> int:
        """See `Keyspace.database`."""
        return int(self.client.database)

    def separate(self, timeout: float = TIMEOUT) -> DirectStore:
        """See `Keyspace.separate`."""
        return DirectStore(Connection(self.client.url, timeout), self._name, ())

    def call(self, name: str, *arguments: str | int | float | bytes) -> Any:
        """See `Keyspace.call`."""
        import hashlib  # only who changes something pays for it

        text = script_text(name)
        digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        command = ("EVALSHA", digest, 1, self.prefix, *arguments)
        (answer,) = self._answers([command])
        if isinstance(answer, Refusal) and str(answer).startswith("NOSCRIPT"):
            _, answer = self._answers([("SCRIPT", "LOAD", text), command])
        return _accepted(answer)

    def several(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """See `Keyspace.several`."""
        if not commands:
            return []
        answers = self._answers([_words(*command) for command in commands])
        return [_shaped(command, _accepted(answer)) for command, answer in zip(commands, answers, strict=True)]

    def _answers(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        for pause in (*self._pauses, None):
            try:
                answers: list[Any] = self.client.ask(commands)
            except OSError as error:
                if pause is None:
                    raise keyspace.silent(str(error)) from error
                time.sleep(pause)
            except UnicodeError as error:
                raise keyspace.impossible(str(error)) from error
            else:
                return answers
        raise AssertionError("the last try raises")


def _login(asked: SplitResult) -> list[tuple[str, ...]]:
    """With the name of the user who is meant: a Redis without a password takes any, as long as one is named."""
    if not (asked.username or asked.password):
        return []
    return [("AUTH", unquote(asked.username or "") or "default", unquote(asked.password or ""))]


def _packed(command: Sequence[Any]) -> bytes:
    words = [word if isinstance(word, bytes) else str(word).encode("utf-8", keyspace.HALVES) for word in command]
    return b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)])


def _words(command: str, *arguments: Any) -> tuple[Any, ...]:
    """A command as redis-py's method is called, as Redis reads it."""
    if command == "set" and len(arguments) > 2:
        return ("SET", *arguments[:2], "EX", arguments[2])
    if command in {"zrange", "zrevrange"}:
        return (command, *arguments[:3], *(["WITHSCORES"] if _with_scores(arguments) else []))
    return (NAMES.get(command, command), *arguments)


def _with_scores(arguments: Sequence[Any]) -> bool:
    return arguments[3:] == (False, True)  # redis-py's `desc` and `withscores`


def _shaped(command: tuple[Any, ...], answer: Any) -> Any:
    """An answer as redis-py gives it."""
    name, *arguments = command
    if name == "hgetall":
        return dict(zip(answer[::2], answer[1::2], strict=True))
    if name == "info":
        return dict(line.split(":", 1) for line in answer.splitlines() if ":" in line)
    if name == "zrange" and _with_scores(tuple(arguments)):
        return list(zip(answer[::2], map(float, answer[1::2]), strict=True))
    return answer


def _accepted(answer: Any) -> Any:
    if isinstance(answer, Refusal):
        raise _told(str(answer))
    return answer


def _told(said: str) -> AnpError:
    if "LEDGERFULL" in said:
        return keyspace.full()
    if said.startswith(FORBIDDEN):
        return keyspace.refused(said)
    return keyspace.said_no(said)


def _not_let_in(said: str) -> AnpError:
    return keyspace.not_now(said) if keyspace.NOT_NOW.search(said) else keyspace.refused(said)
