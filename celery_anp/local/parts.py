"""What a deployment has `anp up` start beside Redis, worker, beat and Flower; this one: nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from celery_anp.local.state_folder import StateFolder
from celery_anp.process.service import Service
from celery_anp.process.supervisor import Part

#: Makes a service: its name, the arguments of `python`, and whether it does its work.
Launch = Callable[[str, Sequence[str], Callable[[], bool]], Service]


class Parts:
    """Derived from by a deployment (`Deployment.local`).

    Args:
        state: the state folder, held by the caller.
    """

    #: In a stop: the seconds that each part has before it is killed.
    grace: Mapping[str, float] = {}

    def __init__(self, state: StateFolder) -> None:
        self.state = state

    def servers(self) -> Mapping[str, Part]:
        """What runs before anything of ours, by name."""
        return {}

    def settings(self) -> Mapping[str, str]:
        """Settings of every process by lower-case name, once the servers run; other commands are told of them too."""
        return {}

    def prepare(self) -> None:
        """Called once the servers run.

        Raises:
            AnpError: it cannot be made ready.
        """

    def services(self, launch: Launch) -> Mapping[str, Service]:  # noqa: ARG002
        """What runs before the worker does, by name."""
        return {}

    def heading(self) -> Sequence[str]:
        """Lines above the live table."""
        return ()

    def figure(self) -> str:
        """Something to watch, below the live table: `cache hits 80%`; empty for nothing."""
        return ""
