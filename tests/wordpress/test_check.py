"""The production checklist of a WordPress."""

from __future__ import annotations

from pathlib import Path

from tests.wordpress.lab import Lab
from worker.checks.wordpress import wordpress
from worker.settings import Settings


def failed(settings: Settings) -> dict[str, str]:
    return {point.what: point.wrong for point in wordpress(settings) if not point.ok}


def test_all_passes_with_the_plugin(lab: Lab, plugin: Path, way: Settings) -> None:
    assert failed(way) == {}


def test_each_line_that_fails_says_why(lab: Lab, php: Settings) -> None:
    assert set(failed(php)) == {"our plugin guards wp-cron.php"}
    other = php.model_copy(update={"wordpress_table_prefix": "blog_"})
    assert "begin with wp_" in failed(other)["its database answers and has its tables"]
    nowhere = php.model_copy(update={"wordpress_path": None})
    assert "no way to run" in failed(nowhere)["its code runs for us"]
