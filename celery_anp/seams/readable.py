"""Whether a message can be read: every field has the type that Celery, kombu and this worker take for granted.

What they meet otherwise ends the worker, in its event loop or later in a timer of it, and the next one after it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from celery.worker.control import Panel

from celery_anp.reliability.message import SECRETS
from celery_anp.reliability.run import is_tick_id
from celery_anp.seams.inflating import is_at_most
from celery_anp.security import MESSAGE_LIMIT, NESTING_LIMIT
from celery_anp.sending.message import LINKS, PLAIN, STAMP
from celery_anp.sending.nesting import is_nested

#: Seconds of a century: no time is further away, no limit longer.
CENTURY = 100 * 366 * 86_400
#: What opens an object or a list, in the text of JSON.
OPENS = re.compile(rb"[\[{]")
Check = Callable[[Any], bool]


class Unreadable(Exception):
    """A message that no worker can read, and why."""


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 1000 and value.isprintable()


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def is_time(value: Any) -> bool:
    """A time as Celery writes it, within a century of now."""
    if not isinstance(value, str):
        return False
    try:
        moment = datetime.fromisoformat(value)
        known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return abs((known - datetime.now(UTC)).total_seconds()) < CENTURY
    except (ValueError, OverflowError):
        return False


def is_limits(value: Any) -> bool:
    """A hard and a soft time limit, in seconds."""
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_limit, value))


def _is_limit(value: Any) -> bool:
    return value is None or (is_number(value) and 0 <= value < CENTURY)


def is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def is_listed(value: Any) -> bool:
    return isinstance(value, list | tuple)


def are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(is_text, value))


def are_links(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(is_link, value))


def is_link(value: Any) -> bool:
    """A signature: of a task, a group, a chain or a chord."""
    return isinstance(value, dict) and isinstance(value.get("task"), str)


def is_matcher(value: Any) -> bool:
    """What kombu compares names of workers with."""
    return value in ("glob", "pcre")


def is_encoding(value: Any) -> bool:
    """A name of an encoding that Python has."""
    try:
        return isinstance(value, str) and (value == "binary" or bool(codecs.lookup(value)))
    except LookupError:
        return False


ENVELOPE: dict[str, Check] = {
    "headers": is_mapping, "properties": is_mapping, "body": is_text, "content-type": is_text,
    "content-encoding": is_encoding,
}  # fmt: skip
PROPERTIES: dict[str, Check] = {
    "delivery_tag": is_name, "delivery_info": is_mapping, "correlation_id": is_text, "reply_to": is_text,
    "priority": is_number, "body_encoding": is_text,
}  # fmt: skip
DELIVERY: dict[str, Check] = {"exchange": is_text, "routing_key": is_text}
HEADERS: dict[str, Check] = {"compression": is_text}
#: Of an event, and of the headers of remote control.
BROADCAST: dict[str, Check] = {"clock": is_number, "hostname": is_text, "type": is_text, "timestamp": is_number}
#: Headers of a task's message; an older protocol has the same names in its body.
TASK: dict[str, Check] = {
    "task": is_name, "id": is_name, "root_id": is_text, "parent_id": is_text, "group": is_text, "taskset": is_text,
    "group_index": is_count, "retries": is_count, "replaced_task_nesting": is_count, "timelimit": is_limits,
    "eta": is_time, "expires": is_time, "ignore_result": is_flag, "shadow": is_text, "lang": is_text,
    "origin": is_text, "argsrepr": is_text, "kwargsrepr": is_text, "stamped_headers": are_texts, "stamps": is_mapping,
    STAMP: is_count, PLAIN: is_flag, SECRETS: are_texts,
}  # fmt: skip
COMMAND: dict[str, Check] = {
    "method": is_text, "arguments": is_mapping, "destination": are_texts, "pattern": is_text, "matcher": is_matcher,
    "reply_to": is_mapping, "ticket": is_text,
}  # fmt: skip
#: Of an argument of a remote control command, by the type that Celery declares.
OF_TYPE: dict[Any, Check] = {str: is_text, int: is_count, float: is_number}
INPUT: dict[str, Check] = {"args": is_listed, "kwargs": is_mapping}
FOLLOWING: dict[str, Check] = {"callbacks": are_links, "errbacks": are_links, "chain": are_links, "chord": is_link}


def check_text(text: bytes) -> None:
    """Look at a message before it is parsed.

    Raises:
        Unreadable: it is too large.
    """
    if len(text) > MESSAGE_LIMIT:
        raise Unreadable(f"it is too large: {len(text)} bytes, at most {MESSAGE_LIMIT}")


def check_envelope(payload: Any, text: bytes) -> None:
    """Look at what kombu reads, before it does.

    Args:
        payload: the message, as JSON gave it.
        text: what it was parsed from.

    Raises:
        Unreadable: something of it is missing, has another type or another size than it can have.
    """
    if not isinstance(payload, dict):
        raise Unreadable("it is no JSON object")
    _check("", payload, ENVELOPE, needed=("properties", "body"))
    properties, headers = payload["properties"], payload.get("headers") or {}
    _check("properties.", properties, PROPERTIES, needed=("delivery_tag", "delivery_info"))
    _check("delivery_info.", properties["delivery_info"], DELIVERY, needed=("exchange", "routing_key"))
    _check("headers.", headers, HEADERS)
    _check_nesting(payload, text)


def check_size(body: bytes, compression: str) -> None:
    """Look how large a compressed body becomes.

    Raises:
        Unreadable: too large, or it is not compressed so.
    """
    try:
        fits = is_at_most(body, compression, MESSAGE_LIMIT)
    except Exception as error:
        raise Unreadable(f"it cannot be unpacked as {compression}: {type(error).__name__}: {error}") from error
    if not fits:
        raise Unreadable(f"it is too large: its body is packed as {compression}, and more than {MESSAGE_LIMIT} bytes")


def check_task(message: Any) -> tuple[str, str]:
    """Look at a task's message: its headers, its body, and whether its id may be a stranger's.

    Args:
        message: kombu's, of either of Celery's protocols.

    Returns:
        The names of its task and of its run.

    Raises:
        Unreadable: as `check_envelope`.
    """
    try:
        content = message.payload
    except Exception as error:
        raise Unreadable(f"its body cannot be read: {error}") from error
    body = message.body
    _check_nesting(content, body if isinstance(body, bytes) else b"" if body is None else str(body).encode())
    if isinstance(content, dict):
        _check("body.", content, INPUT)
        _check("body.", content, FOLLOWING)
        known: Mapping[str, Any] = {**content, **message.headers}
    elif isinstance(content, list | tuple) and len(content) == 3:
        _check_three(*content)
        known = message.headers
    else:
        raise Unreadable("its body is not what a task gets: arguments, keyword arguments and what follows")
    _check("headers.", known, TASK, needed=("task", "id"))
    if STAMP not in message.headers and is_tick_id(known["id"]):
        raise Unreadable(f"it has the id of a tick, {known['id']}, and comes from somebody who plans none")
    return known["task"], known["id"]


def check_broadcast(message: Any) -> None:
    """Look at an event, or at a command of remote control: a clock that is none would stand in all events of ours.

    Raises:
        Unreadable: something of it has another type than it can have.
    """
    _check("headers.", message.headers, BROADCAST)
    if message.delivery_info["routing_key"].startswith("task"):
        return  # no worker reads them
    content = message.decode()
    for event in content if isinstance(content, list) else [content]:
        if not isinstance(event, dict):
            raise Unreadable("its body is no event and no command")
        _check("body.", event, BROADCAST)
        if message.delivery_info["exchange"].endswith("pidbox"):
            _check_command(event)


def _check_command(content: dict[str, Any]) -> None:
    """What a command does with an argument of another type than Celery says is done half when it meets it."""
    _check("body.", content, COMMAND, needed=("method",))
    if content.get("reply_to"):
        _check("reply_to.", content["reply_to"], DELIVERY, needed=("exchange", "routing_key"))
    if content.get("matcher") == "pcre":
        re.compile(content.get("pattern") or "")
    method, given = content["method"], content.get("arguments") or {}
    for name, kind in getattr(Panel.meta.get(method), "args", None) or ():
        value, fits = given.get(name), OF_TYPE.get(kind)
        if fits and value is not None and not (fits(value) or (name == "rate_limit" and is_number(value))):
            raise Unreadable(f"the {name} of {method} is not as it must be: a {type(value).__name__}")


def _check_three(args: Any, kwargs: Any, following: Any) -> None:
    _check("body.", {"args": args, "kwargs": kwargs}, INPUT, needed=("args", "kwargs"))
    if following is None:
        return
    if not isinstance(following, dict) or following.keys() - set(LINKS):
        raise Unreadable(f"what follows it is more than {', '.join(LINKS)}")
    _check("body.", following, FOLLOWING)


def _check(where: str, found: Mapping[str, Any], checks: Mapping[str, Check], needed: tuple[str, ...] = ()) -> None:
    for name in needed:
        if found.get(name) in (None, ""):
            if name in ("exchange", "routing_key") and name in found:
                continue  # the default exchange has no name
            raise Unreadable(f"it has no {where}{name}")
    for name, fits in checks.items():
        value = found.get(name)
        if value is not None and not fits(value):
            raise Unreadable(f"its {where}{name} is not as it must be: a {type(value).__name__}")


def _check_nesting(parsed: Any, text: bytes) -> None:
    if len(OPENS.findall(text)) > NESTING_LIMIT and is_nested(parsed, NESTING_LIMIT):
        raise Unreadable(f"it is nested too deeply: more than {NESTING_LIMIT} levels")
