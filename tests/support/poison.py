"""Messages that no worker can read, made from one that every worker can."""

from __future__ import annotations

import base64
import bz2
import json
import lzma
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from kombu.utils.json import dumps

#: A value of each type of JSON, and some that only look like one of them.
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 3.5, 10**30, 1e308, "", "x", "\x00\n|", "é" * 40, [], [[]], ["x"], [1, "x"], {}, {"x": 1},
    {"__type__": "uuid", "__value__": "x"}, {"__type__": ["x"], "__value__": 1}, float("inf"), float("nan"),
)  # fmt: skip
#: Megabytes of one stream of a bomb, and streams in it.
STREAM, STREAMS = 20, 220


def bomb(pack: Callable[[bytes], bytes], streams: int = STREAMS) -> str:
    """A body that is small until it is unpacked: then it is 4.4 GB, or one stream of it where only one is read."""
    return base64.b64encode(pack(b" " * (STREAM << 20)) * streams).decode()


def packed(raw: dict[str, Any], method: str, body: str) -> bytes:
    """A message whose body is compressed, so it says."""
    raw["headers"]["compression"] = method
    raw["properties"]["body_encoding"] = "base64"
    raw["body"] = body
    return text(raw)


def text(raw: Any) -> bytes:
    """A message as the broker's list holds it."""
    return dumps(raw).encode()


def with_(path: str, value: Any) -> Callable[[dict[str, Any]], bytes]:
    """A message in which one thing is another."""
    *way, last = path.split(".")

    def made(raw: dict[str, Any]) -> bytes:
        place = raw
        for name in way:
            place = place[name]
        place[last] = value
        return text(raw)

    return made


def without(path: str) -> Callable[[dict[str, Any]], bytes]:
    """A message in which one thing is missing."""
    *way, last = path.split(".")

    def made(raw: dict[str, Any]) -> bytes:
        place = raw
        for name in way:
            place = place[name]
        del place[last]
        return text(raw)

    return made


def nested(depth: int) -> str:
    """A body whose input is a list in a list, and so on."""
    return f"[[{'[' * depth}{']' * depth}], {{}}, null]"


#: By what it is: how it is made of a good message, and a word of why it cannot be read.
CASES: dict[str, tuple[Callable[[dict[str, Any]], bytes], str]] = {
    "no JSON": (lambda _: b"hello", "JSON"),
    "half a message": (lambda raw: text(raw)[:200], "JSON"),
    "no UTF-8": (lambda raw: text(raw)[:200] + b"\xff\xfe", "JSON"),
    "nothing": (lambda _: b"null", "no JSON object"),
    "a list": (lambda _: b"[1, 2]", "no JSON object"),
    "a number of many digits": (lambda _: b"9" * 5000, "digits"),
    "deep": (lambda _: b"[" * 100_000, "Recursion"),
    "deep headers": (with_("headers.x", json.loads("[" * 300 + "]" * 300)), "nested"),
    "a type that is none": (with_("headers.x", {"__type__": "y", "__value__": 1}), "ValueError"),
    "a type of no name": (with_("headers.x", {"__type__": ["y"], "__value__": 1}), "TypeError"),
    "no properties": (without("properties"), "no properties"),
    "properties that are none": (with_("properties", [1]), "properties"),
    "no delivery tag": (without("properties.delivery_tag"), "delivery_tag"),
    "a delivery tag that is none": (with_("properties.delivery_tag", {"x": 1}), "delivery_tag"),
    "no delivery": (without("properties.delivery_info"), "delivery_info"),
    "no exchange": (without("properties.delivery_info.exchange"), "exchange"),
    "a key that is none": (with_("properties.delivery_info.routing_key", {}), "routing_key"),
    "a priority that is none": (with_("properties.priority", {"x": 1}), "priority"),
    "an endless priority": (with_("properties.priority", float("inf")), "priority"),
    "a reply that goes nowhere": (with_("properties.reply_to", [1]), "reply_to"),
    "headers that are none": (with_("headers", ["task"]), "headers"),
    "no body": (without("body"), "no body"),
    "a body that is no text": (with_("body", {"x": 1}), "body"),
    "an empty body": (with_("body", ""), "no body"),
    "bad base64": (lambda raw: with_("properties.body_encoding", "base64")(raw | {"body": "x"}), "base64"),
    "an unknown packing": (with_("properties.body_encoding", "rot13"), "decode"),
    "an unknown content type": (with_("content-type", "text/x-nothing"), "x-nothing"),
    "a content type that is none": (with_("content-type", {"x": 1}), "content-type"),
    "an unknown encoding": (with_("content-encoding", "utf-123"), "content-encoding"),
    "a body that is no JSON": (with_("body", "[1,"), "cannot be read"),
    "a body of two": (with_("body", "[[], {}]"), "not what a task gets"),
    "a body that is a number": (with_("body", "5"), "not what a task gets"),
    "arguments that are none": (with_("body", '[{"x": 1}, {}, null]'), "args"),
    "keyword arguments that are none": (with_("body", "[[], [1], null]"), "kwargs"),
    "links that are none": (with_("body", '[[], {}, {"callbacks": ["x"]}]'), "callbacks"),
    "more than links": (with_("body", '[[], {}, {"anp_seal": "x"}]'), "follows"),
    "a deep body": (with_("body", nested(400)), "nested"),
    "a body that is too deep to be parsed": (with_("body", nested(5000)), "recursion"),
    "a body with a long number": (with_("body", f'[[{"9" * 5000}], {{}}, null]'), "digits"),
    "no task": (without("headers.task"), "task"),
    "a task that is none": (with_("headers.task", {"x": 1}), "task"),
    "no id": (without("headers.id"), "no headers.id"),
    "an id that is none": (with_("headers.id", {"x": 1}), "headers.id"),
    "an id of two lines": (with_("headers.id", "a\nb"), "headers.id"),
    "an end that is none": (with_("headers.expires", {"x": 1}), "expires"),
    "a time that is none": (with_("headers.eta", "tomorrow"), "eta"),
    "a time too far away": (with_("headers.eta", "9999-12-31T23:59:59"), "eta"),
    "limits that are none": (with_("headers.timelimit", ["a", "b"]), "timelimit"),
    "three limits": (with_("headers.timelimit", [1, 2, 3]), "timelimit"),
    "retries that are none": (with_("headers.retries", {"x": 1}), "retries"),
    "a root that is none": (with_("headers.root_id", {"x": 1}), "root_id"),
    "stamps that are none": (with_("headers.stamped_headers", 5), "stamped_headers"),
    "a ring that is none": (with_("headers.anp_rung", {"x": 1}), "anp_rung"),
    "a compression that is none": (with_("headers.compression", ["x"]), "compression"),
    "an unknown compression": (lambda raw: packed(raw, "application/x-none", "eA=="), "unpacked"),
    "what is not compressed": (lambda raw: packed(raw, "zlib", "eA=="), "decompress"),
    "a bomb of zlib": (lambda raw: packed(raw, "zlib", bomb(zlib.compress, 1)), "too large"),
    "a bomb of bz2": (lambda raw: packed(raw, "application/x-bz2", bomb(bz2.compress)), "too large"),
    "a bomb of lzma": (lambda raw: packed(raw, "xz", bomb(lambda data: lzma.compress(data, preset=0))), "too large"),
    "too large": (with_("headers.x", "x" * (17 << 20)), "too large"),
}  # fmt: skip


def damaged(good: bytes, seed: int) -> Iterator[bytes]:
    """Good messages with a few things wrong, without end; the same for the same seed."""
    chance = random.Random(seed)
    while True:
        raw = json.loads(good)
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            _damage(raw, chance)
        made = bytearray(text(raw))
        if chance.random() < 0.3:
            _scratch(made, chance)
        yield bytes(made)


def _damage(raw: dict[str, Any], chance: random.Random) -> None:
    """One field of it, wherever it stands, is gone or is another."""
    places = [(place, name) for place in _places(raw) for name in place]
    if not places:
        return
    place, name = chance.choice(places)
    if chance.random() < 0.3:
        del place[name]
    elif name == "body" and isinstance(place[name], str) and chance.random() < 0.7:
        place[name] = chance.choice(
            (place[name][:-3], json.dumps(chance.choice(VALUES)), nested(chance.randrange(600)))
        )
    else:
        place[name] = chance.choice(VALUES)


def _places(raw: Any) -> Iterator[dict[str, Any]]:
    if isinstance(raw, dict):
        yield raw
        for value in raw.values():
            yield from _places(value)


def _scratch(made: bytearray, chance: random.Random) -> None:
    """Some bytes of its text are others, or it ends too early."""
    for _ in range(chance.randrange(1, 4)):
        made[chance.randrange(len(made))] = chance.randrange(256)
    if chance.random() < 0.3:
        del made[chance.randrange(len(made)) :]
