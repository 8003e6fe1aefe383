"""Starts the Flower pages of an app, or refuses to when they would be open."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from celery import Celery
from flower.options import options
from flower.urls import settings as tornado_settings
from tornado.options import Error as OptionError

from celery_anp.errors import BadSetting, BadUsage, did_you_mean
from celery_anp.screen.application import Screen
from celery_anp.settings import Settings

#: Tasks kept in memory; Flower's own default of 100,000 is some 500 MB.
TASKS_KEPT = 10_000


def serve(
    app: Celery,
    chosen: Settings,
    *,
    port: int,
    address: str,
    control: bool,
    further: Sequence[str],
) -> None:
    """Serve the pages until SIGTERM, SIGINT or SIGHUP.

    Args:
        app: the Celery app to show.
        chosen: settings with user and password of the pages.
        port: TCP port.
        address: address to listen on.
        control: whether the pages may change anything (revoke, shut down, send).
        further: options of Flower itself, as `--name=value`.

    Raises:
        BadSetting: there is no password, or the port is in use.
        BadUsage: Flower has no such option.
    """
    password = chosen.flower_password.get_secret_value()
    if not password:
        raise BadSetting(
            "Flower does not start without a password",
            expected="ANP_FLOWER_PASSWORD, or ANP_FLOWER_PASSWORD_FILE with the path of a file that holds it",
            given="no password",
        )
    _take(further)
    options.port, options.address, options.read_only = port, address, not control
    options.basic_auth = [f"{chosen.flower_user}:{password}"]
    screen = Screen(capp=app, options=options, **tornado_settings)
    _listen(screen)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: screen.io_loop.add_callback_from_signal(screen.stop))
    screen.start()


def _take(further: Sequence[str]) -> None:
    for argument in further:
        name, equals, _ = argument.partition("=")
        known = name.lstrip("-").replace("_", "-") in options
        if not argument.startswith("--") or not known or not equals:
            hint = did_you_mean(name.lstrip("-"), options)
            raise BadUsage(f"Flower has no such option.{hint}", expected="--name=value", given=argument)
    options.logging = "none"  # else tornado sets up logging by itself
    options.max_tasks = TASKS_KEPT
    try:
        options.parse_command_line(["flower", *further], final=False)
    except (OptionError, ValueError) as error:
        raise BadUsage("Flower does not take this value", given=str(error)) from None


def _listen(screen: Screen) -> None:
    try:
        screen.start_http_server()
    except OSError as error:
        raise BadSetting(
            "Flower cannot listen there",
            expected="a free port: anp flower --port NUMBER",
            given=f"{options.address}:{options.port}: {error.strerror}",
        ) from None
