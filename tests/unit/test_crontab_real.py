"""Fifty lines as they stand in crontabs of servers: how many come over, and what their exit codes mean here."""

from __future__ import annotations

import os
import pwd
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from celery_anp.beat.catalog import load
from celery_anp.beat.crontab import machine
from celery_anp.beat.crontab.convert import Converted, convert
from celery_anp.beat.crontab.idioms import ok_codes
from celery_anp.tasks import allow_list
from worker.app import app

REAL = r"""
MAILTO=""
SHELL=/bin/bash
PATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin
*/5 * * * * /usr/bin/php /var/www/html/wp-cron.php >/dev/null 2>&1
*/5 * * * * cd /var/www/html && /usr/local/bin/wp cron event run --due-now --quiet
* * * * * cd /srv/laravel && php artisan schedule:run >> /dev/null 2>&1
*/15 * * * * php -f /var/www/nextcloud/cron.php
0 * * * * /usr/local/bin/drush --root=/srv/drupal cron
* * * * * /usr/bin/php /srv/magento/bin/magento cron:run 2>&1 | grep -v "Ran jobs" >> /var/log/magento.log
0 3 * * * /srv/app/venv/bin/python /srv/app/manage.py clearsessions
*/10 * * * * ~/app/venv/bin/python ~/app/manage.py send_queued_mail >> ~/logs/mail.log 2>&1
30 2 * * * cd ~/app && ./venv/bin/python manage.py dbbackup
0 4 * * * cd "$HOME/app" && ./bin/rotate.sh
17 * * * * cd / && run-parts --report /etc/cron.hourly
25 6 * * * test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )
47 6 * * 7 test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.weekly )
0 */12 * * * test -x /usr/bin/certbot -a \! -d /run/systemd/system && perl -e 'sleep rand 43200' && certbot -q renew
09,39 * * * * [ -x /usr/lib/php/sessionclean ] && if [ ! -d /run/systemd/system ]; then /usr/lib/php/sessionclean; fi
57 0 * * 0 if [ -x /usr/share/mdadm/checkarray ] && [ $(date +\%d) -le 7 ]; then checkarray --cron --all; fi
5-55/10 * * * * command -v debian-sa1 > /dev/null && debian-sa1 1 1
30 3 * * 0 test -e /run/systemd/system || SERVICE_MODE=1 /usr/lib/x86_64-linux-gnu/e2fsprogs/e2scrub_all_cron
0 0 * * * /usr/sbin/logrotate -s /var/lib/logrotate/status /etc/logrotate.conf
15 2 * * * mysqldump --single-transaction shop | gzip > /backup/shop-$(date +\%F).sql.gz
45 2 * * * pg_dump -Fc shop > /backup/shop.dump
0 1 * * * /usr/bin/pg_dump -Fc -f /backup/app.dump app
0 5 * * * find /backup -name '*.gz' -mtime +14 -delete
0 5 * * 6 find /tmp -type f -atime +7 -exec rm -f {} \;
30 4 * * * rsync -a --delete /srv/www/ backup@10.0.0.2:/srv/www/
*/30 * * * * flock -n /tmp/import.lock /usr/local/bin/import-feed
*/2 * * * * /usr/bin/flock -xn /var/lock/queue.lock -c '/usr/local/bin/queue-worker --once'
* * * * * ( flock -n 9 || exit 1; /usr/local/bin/sync ) 9>/var/lock/sync.lock
*/5 * * * * pgrep -f queue-listener > /dev/null || /usr/local/bin/queue-listener &
*/5 * * * * curl -fsS -m 10 https://hc.example.org/ping/abc > /dev/null
0 6 * * 1 [ -f /etc/report.conf ] || exit 0; /usr/local/bin/report --weekly
0 7 1 * * /usr/local/bin/invoice && curl -fsS https://hc.example.org/ping/def
10 0 * * * /usr/bin/freshclam --quiet
20 3 * * * nice -n 19 ionice -c3 /usr/local/bin/reindex
0 22 * * 1-5 sleep $((RANDOM \% 600)); /usr/local/bin/close-day
@daily /usr/bin/docker system prune -f
@weekly docker exec -t db vacuumdb --all
@hourly echo "$(date) $(uptime)" >> $HOME/uptime.log
0 0 * * 0 bash -c 'for f in /var/log/app/*.log; do gzip "$f"; done'
0 2 * * * tar czf /backup/etc-$(hostname).tgz /etc
*/20 * * * * . /etc/profile.d/app.sh; app-sync
0 8 * * * df -h / | mail -s "disk of $(hostname)" ops@example.org
35 1 * * * export LANG=C.UTF-8; /usr/local/bin/import
0 23 28-31 * * [ "$(date -d tomorrow +\%d)" = 01 ] && /usr/local/bin/month-end
*/5 * * * * ps aux | grep -q '[w]orker.py' && kill -USR1 $(cat /run/worker.pid)
40 4 * * * source /srv/venv/bin/activate && python -m reports.daily
* * * * * /usr/local/bin/poll; sleep 30; /usr/local/bin/poll
12 5 * * * umask 027; /usr/local/bin/dump-users > /srv/export/users.csv
@reboot /usr/local/bin/start-agent
0 0 1 * mon#1 /usr/local/bin/first-monday
"""
PLAIN, WITH_SHELL = 21, 48


def converted(*, allow_shell: bool) -> Converted:
    return convert(REAL, allow_shell=allow_shell, timezone="Europe/Berlin", home=lambda _: "/home/deploy")


def commands(of: Converted) -> list[dict[str, Any]]:
    return list(tomllib.loads(of.command_entries)["command"])


def code(line: str, shell: str = "/bin/sh") -> int:
    return subprocess.run([shell, "-c", line], check=False, capture_output=True, timeout=20).returncode


def test_most_lines_of_real_crontabs_come_over_once_a_shell_is_allowed() -> None:
    without, with_shell = converted(allow_shell=False), converted(allow_shell=True)
    jobs = [line for line in REAL.splitlines() if line[:1] in "@*0123456789" and line]
    assert (len(jobs), without.count, with_shell.count) == (50, PLAIN, WITH_SHELL)
    needs = [left for left in without.unconverted if "needs a shell" in left.reason]
    assert len(needs) == WITH_SHELL - PLAIN
    assert all("--allow-shell" in left.reason for left in needs)
    assert {left.reason.split(":")[0][:20] for left in with_shell.unconverted} == {
        "nothing here boots",
        "cron cannot be used",
    }


def test_what_came_over_is_taken_by_beat_and_by_the_allow_list(tmp_path: Path) -> None:
    made = converted(allow_shell=True)
    (tmp_path / "crontab.toml").write_text(made.toml_entries)
    (tmp_path / "commands").write_text(made.command_entries)
    assert len(load([tmp_path / "crontab.toml"], app)) == WITH_SHELL
    assert len(allow_list.allowed(tmp_path / "commands")) == WITH_SHELL


def test_each_command_starts_where_cron_would_start_it() -> None:
    found = {
        command["note"].removeprefix("from a crontab: "): command["directory"]
        for command in commands(converted(allow_shell=True))
    }
    assert found["/usr/bin/freshclam --quiet"] == "/home/deploy"
    assert found["cd ~/app && ./venv/bin/python manage.py dbbackup"] == "/home/deploy/app"
    assert found['cd "$HOME/app" && ./bin/rotate.sh'] == "/home/deploy/app"
    assert found["cd / && run-parts --report /etc/cron.hourly"] == "/"
    (named,) = commands(convert("HOME=/srv/cron\n0 1 * * * job", home=lambda _: "/home/deploy"))
    assert named["directory"] == "/srv/cron"
    (unknown,) = commands(convert("0 1 * * * job"))
    assert "directory" not in unknown


def test_the_home_of_each_user_is_asked_for(tmp_path: Path) -> None:
    text = "0 1 * * * ada job\n0 2 * * * bob job"
    made = convert(text, user_column=True, home={"ada": "/home/ada", "bob": None}.get)
    assert [command.get("directory") for command in commands(made)] == ["/home/ada", None]


#: A line, and its exit codes besides 0 that mean there was nothing to do. Each is run: what it asks for is not there.
IDLE = [
    ("test -x /no/such && /no/such", [1]),
    ("/usr/bin/test -x /no/such && /no/such", [1]),
    ("[ -x /no/such ] && /no/such", [1]),
    ("[ -x /no/such ] && if [ ! -d /nowhere ]; then /no/such; fi", [1]),
    ("[ -e /no/such ] && (echo a; echo b)", [1]),
    ("[ -e /no/such ] && echo a | cat", [1]),
    ("! [ -d / ] && echo a", [1]),
    ("echo a | grep -q b && echo c", [1]),
    ("command -v no-such-program > /dev/null && no-such-program", [1, 127]),
    ("[ -f /no/such ] || exit 3; echo a", [3]),
    ("[ -d / ] && exit 4; echo a", [4]),
    ("flock -n {lock} echo a", [1]),
    ("flock -xn {lock} -c 'echo a'", [1]),
    ("flock --nonblock -E 75 {lock} echo a", [75]),
    ("flock -w 0.1 {lock} echo a", [1]),
    ("( flock -n 9 || exit 5; echo a ) 9>{lock}", [5]),
]  # fmt: skip


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.parametrize(("line", "codes"), IDLE, ids=[line for line, _ in IDLE])
def test_an_exit_code_that_says_nothing_was_to_do_is_success(
    line: str, codes: list[int], shell: str, tmp_path: Path
) -> None:
    lock = tmp_path / "lock"
    with subprocess.Popen(["flock", lock, "-c", "echo held; exec sleep 30"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            assert code(line.format(lock=lock), shell) in ok_codes(line) == [0, *codes]
        finally:
            holder.kill()


@pytest.mark.parametrize(
    "line",
    [
        "flock /tmp/lock job", "a && b", "[ -x a ] && b || c", "[ -x a ] && b; c", "if [ -x a ]; then b; fi",
        "test -e /run/systemd/system || job", "[ -f a ] || exit 0; job", "( flock -n 9 || exit 0; job ) 9>/tmp/lock",
        "pgrep -f listener > /dev/null || listener", "echo '[ -x a ] && b'", "job 2>&1 && [ -x a ]",
        "job --flock -n", "[ -d /maintenance ] && exit 0; job",
    ],
)  # fmt: skip
def test_any_other_exit_code_is_a_failure(line: str) -> None:
    assert ok_codes(line) == [0]


def test_a_command_says_which_exit_codes_are_none_of_a_failure() -> None:
    (held,) = commands(convert("* * * * * flock -n /tmp/lock job"))
    assert (held["argv"][0], held["ok_exit_codes"]) == ("flock", [0, 1])
    assert held["note"].endswith("(exit code 1: there was nothing to do)")
    (plain,) = commands(convert("* * * * * job"))
    assert "ok_exit_codes" not in plain


def test_who_asks_for_no_mail_loses_nothing() -> None:
    for line in ('MAILTO=""', "MAILTO=", "MAILTO=''"):
        assert convert(f"{line}\n0 1 * * * job").unconverted == ()


@pytest.mark.parametrize(
    ("variable", "link", "written", "zone"),
    [
        ("Asia/Tokyo", "/usr/share/zoneinfo/Europe/Berlin", "Europe/Rome", "Asia/Tokyo"),
        (":Asia/Tokyo", None, None, "Asia/Tokyo"),
        ("", "/usr/share/zoneinfo/Europe/Berlin", "Europe/Rome", "Europe/Berlin"),
        ("CET-1CEST", "../usr/share/zoneinfo/Europe/Berlin", None, "Europe/Berlin"),
        ("", "", "Europe/Rome\n", "Europe/Rome"),
        ("", "", None, None),
        ("", None, None, "UTC"),
    ],
)
def test_the_machines_zone_is_found_where_it_has_a_name(
    variable: str,
    link: str | None,
    written: str | None,
    zone: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", variable)
    if link:
        (tmp_path / "localtime").symlink_to(link)
    elif link is not None:
        (tmp_path / "localtime").write_bytes(b"TZif")  # a copy, without a name
    if written is not None:
        (tmp_path / "timezone").write_text(written)
    assert machine.zone(tmp_path) == zone


def test_the_home_of_who_asks_is_that_of_the_passwd_file() -> None:
    assert machine.home("") == pwd.getpwuid(os.getuid()).pw_dir
    assert machine.home("root") == pwd.getpwnam("root").pw_dir
    assert machine.home("no-such-user") is None
