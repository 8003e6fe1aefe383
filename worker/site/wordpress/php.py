"""WordPress' code run by php beside the site's files: one process for each piece of work, with its own group and limit.

The group ends with the limit, with the run, and with the worker (`celery_anp.process.group`). Its exit code says
nothing: php ends with 0 when WordPress found no database.
"""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Callable
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from celery_anp.errors import BadSetting
from celery_anp.process import group
from celery_anp.settings import environment
from celery_anp.tasks.allow_list import PASSED_ON
from worker.settings import Settings
from worker.site.wordpress.way import Told

MARK = "anp:"
#: Further variables that a wp-config.php may read.
SITES_OWN = ("WORDPRESS_", "WP_")
#: No output goes into pages here, and a limit of php's own would count something else.
OPTIONS = ("-d", "display_errors=stderr", "-d", "html_errors=0", "-d", "max_execution_time=0")
_BAD_USAGE = 2


class Php:
    """The way by php on this machine.

    Args:
        known: the settings.

    Raises:
        BadSetting: there is no such php, or no WordPress in the folder.
    """

    def __init__(self, known: Settings) -> None:
        self.path = (known.wordpress_path or known.state).absolute()
        self.host = urlsplit(known.site_url).netloc
        found = shutil.which(known.wordpress_php)
        if found is None:
            raise BadSetting(
                "There is no php to run WordPress' code with",
                expected="php 8 on the PATH or as ANP_WORDPRESS_PHP (image target worker-php has one), "
                "or no ANP_WORDPRESS_PATH, for the plugin",
                given=known.wordpress_php,
            )
        if not (self.path / "wp-load.php").is_file():
            raise BadSetting(
                "ANP_WORDPRESS_PATH is no WordPress",
                expected="the folder that has wp-load.php, readable here",
                given=str(self.path),
            )
        self.argv = [found, *OPTIONS, str(files("worker.site.wordpress") / "anp.php"), str(self.path)]

    def ask(self, job: dict[str, Any], *, limit: float, stop: Callable[[], bool] = lambda: False) -> Told:
        """As `Way.ask`; when it returns, the whole process group is gone."""
        ended = group.run(
            [*self.argv, json.dumps({**job, "host": self.host})],
            time_limit=limit,
            environment=self._environment(),
            directory=str(self.path),
            stop=stop,
            grace=1.0,
        )
        if ended.exit_code == _BAD_USAGE and "no WordPress in" in ended.tail:
            raise BadSetting("php cannot read the WordPress", expected="its files readable", given=ended.tail.strip())
        return _told(ended, limit)

    @staticmethod
    def _environment() -> dict[str, str]:
        return {name: value for name, value in environment().items() if name in PASSED_ON or name.startswith(SITES_OWN)}


def _told(ended: group.Outcome, limit: float) -> Told:
    for line in reversed(ended.tail.splitlines()):
        if line.startswith(MARK):
            try:
                answer = json.loads(line.removeprefix(MARK))
            except ValueError:
                break
            return Told(str(answer.get("state", "")), str(answer.get("why", "")), ended=True, data=answer)
    if ended.killed:
        how = f"php was ended at its limit of {limit:g} s" if ended.killed == "time limit" else "php was stopped"
    else:
        how = f"php ended with {ended.exit_code} and without an answer"
    said = " ".join(html.unescape(re.sub(r"<[^>]*>|\s+", " ", ended.tail)).split())
    return Told("", f"{how}: {said[-300:]}" if said else how, ended=True)
