"""A crontab moves here: what can be said is said, what cannot is reported with the reason."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from celery_anp.beat.catalog import load
from celery_anp.beat.crontab.convert import Converted, convert
from celery_anp.tasks import allow_list
from worker.app import app

TYPICAL = r"""
# m h dom mon dow command
SHELL=/bin/bash
PATH = "/usr/local/bin:/usr/bin:/bin"
MAILTO=ops@example.org
CRON_TZ=Europe/Berlin
*/5 * * * * /usr/bin/php /var/www/html/wp-cron.php >/dev/null 2>&1
0 3 * * *   cd /srv/app && ./manage.py clearsessions
10 3 * * 1-5 /opt/backup.sh full
40 3 * * 1-5 /opt/backup.sh full
@daily find /tmp/cache -name '*.tmp' -mtime +7 -delete
15 2 * * * touch "/var/log/day \\ of \"$\" is not here"
20 2 * * * date +\%F
"""


def commands(converted: Converted) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in tomllib.loads(converted.command_entries).get("command", [])}


def schedules(converted: Converted) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in tomllib.loads(converted.toml_entries).get("schedule", [])}


def only(line: str, **options: Any) -> dict[str, Any]:
    converted = convert(line, **options)
    assert converted.unconverted == ()
    return next(iter(commands(converted).values()))


def reason(line: str, **options: Any) -> str:
    converted = convert(line, **options)
    assert converted.count == 0
    return converted.unconverted[0].reason


def test_a_typical_crontab_loads_as_schedules_and_commands(tmp_path: Path) -> None:
    converted = convert(TYPICAL)
    (tmp_path / "crontab.toml").write_text(converted.toml_entries)
    (tmp_path / "commands").write_text(converted.command_entries)
    assert converted.count == 6
    catalog = load([tmp_path / "crontab.toml"], app)
    allowed = allow_list.allowed(tmp_path / "commands")
    names = {"wp-cron", "manage-clearsessions", "backup-full", "backup-full-2", "find-cache", "date"}
    assert set(catalog) == set(allowed) == names
    assert {schedule.timezone for schedule in catalog.values()} == {"Europe/Berlin"}
    assert all(schedule.input == {"command": name} for name, schedule in catalog.items())


def test_the_words_of_a_command_are_those_that_a_shell_would_make() -> None:
    found = commands(convert(TYPICAL))
    assert found["find-cache"]["argv"] == ["find", "/tmp/cache", "-name", "*.tmp", "-mtime", "+7", "-delete"]
    assert found["wp-cron"]["argv"] == ["/usr/bin/php", "/var/www/html/wp-cron.php"]
    assert found["date"]["argv"] == ["date", "+%F"]
    assert found["manage-clearsessions"]["directory"] == "/srv/app"
    assert found["date"]["environment"] == {"PATH": "/usr/local/bin:/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("@reboot /usr/bin/start", "nothing here boots"),
        ("0 * * * * pg_dump db | gzip > /backup", "needs a shell (| >)"),
        ("0 * * * * a && b", "needs a shell (&)"),
        ("0 * * * * echo $HOME", "needs a shell ($)"),
        ('0 * * * * echo "$HOME"', "needs a shell ($)"),
        ("0 * * * * rm /tmp/x/*", "needs a shell (*)"),
        ("0 * * * * FOO=bar run", "needs a shell (FOO=)"),
        ("0 * * * * cd sub", "needs a shell (cd)"),
        ("0 * * * * ls ~/x", "needs a shell (~)"),
        ("0 * * * * echo 'open", "quotes"),
        ("0 * * * * mail root%body", "bare %"),
        ("0 0 30 2 * never", "can never occur"),
        ("0 0 */2 * 1 both", "some readers of cron want either to fit, others both"),
        ("0 0 1-7 * */7 both", "one of the two day fields to be *"),
        ("* * * *", "neither"),
        ("nonsense", "neither"),
        ("MAILTO=root", "no mail"),
        ("RANDOM_DELAY=30", "jitter"),
    ],
)
def test_what_has_no_equal_is_reported_with_the_reason(line: str, said: str) -> None:
    assert said in reason(line)


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        ("0 * * * * echo 'a | b; $c' \"d > e\"", ["echo", "a | b; $c", "d > e"]),
        (r"0 * * * * find . -name x -exec rm {} \;", ["find", ".", "-name", "x", "-exec", "rm", "{}", ";"]),
        (
            "0 * * * * curl -s https://example.org/a#b --data a=b",
            ["curl", "-s", "https://example.org/a#b", "--data", "a=b"],
        ),
        ("0 * * * * job > /dev/null 2>&1", ["job"]),
        ("0 * * * * job 2>&1", ["job"]),
    ],
)
def test_signs_that_no_shell_would_act_on_stay_as_they_are(line: str, argv: list[str]) -> None:
    assert only(line)["argv"] == argv


def test_a_shell_is_used_only_when_allowed_and_is_that_of_the_crontab() -> None:
    line = "0 * * * * pg_dump db | gzip > /backup/db.gz"
    assert only(line, allow_shell=True)["argv"] == ["/bin/sh", "-c", "pg_dump db | gzip > /backup/db.gz"]
    assert only(f"SHELL=/bin/bash\n{line}", allow_shell=True)["argv"][0] == "/bin/bash"


def test_the_user_column_is_taken_off_and_another_user_is_reported() -> None:
    text = "17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly\n0 1 * * * www-data /bin/rotate\n"
    converted = convert(text, user_column=True)
    assert converted.count == 2
    assert commands(converted)["run-parts"]["directory"] == "/"
    assert [left.line for left in converted.unconverted] == [2]
    assert "not as www-data" in converted.unconverted[0].reason


def test_a_line_without_its_user_is_reported() -> None:
    assert "user column" in reason("0 1 * * * /bin/rotate", user_column=True)


def test_an_assignment_holds_from_its_line_on() -> None:
    converted = convert("0 1 * * * first\nLEVEL='high'\nCRON_TZ=Asia/Tokyo\n0 2 * * * second\n")
    assert "environment" not in commands(converted)["first"]
    assert commands(converted)["second"]["environment"] == {"LEVEL": "high"}
    assert [entry["timezone"] for entry in schedules(converted).values()] == ["UTC", "Asia/Tokyo"]


def test_an_unknown_zone_is_reported_with_each_line_that_needs_it() -> None:
    assert "Did you mean 'Asia/Tokyo'" in reason("CRON_TZ=Asia/Tokio\n0 2 * * * job")


def test_what_was_missed_is_not_caught_up_as_in_cron() -> None:
    assert schedules(convert("@hourly job"))["job"]["catchup"] == "skip"


def test_any_text_survives_the_way_into_toml() -> None:
    odd = "job 'tab\there' 'back\\slash' 'quote\"' 'ünï'"
    assert only(f"0 * * * * {odd}")["argv"] == ["job", "tab\there", "back\\slash", 'quote"', "ünï"]
