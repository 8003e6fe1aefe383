"""Ports that several processes of ours wish for at once."""

from __future__ import annotations

import subprocess
import sys

from celery_anp.process.port import free


def test_two_processes_that_wish_for_one_port_get_two() -> None:
    wish = free()
    mine = free(wish)
    asked = [sys.executable, "-c", f"from celery_anp.process.port import free; print(free({wish}))"]
    other = int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
    assert (mine, other != wish) == (wish, True)
