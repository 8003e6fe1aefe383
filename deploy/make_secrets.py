"""Make the secrets of the stack: random, one file each, readable by their owner only. What is there stays.

`python3 deploy/make_secrets.py [FOLDER]` writes `secrets/`, or the folder of another environment (ANP_SECRETS), and
`.env` where there is none. Needs only Python.
Root gives the files to the user that the containers run as; everybody else runs the containers as themselves.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / (sys.argv[1] if len(sys.argv) > 1 else "secrets")
#: The user of the image when root makes the secrets: never root itself.
CONTAINER_USER = 10001
#: Kombu's own keys; ours are `anp:*`, and the queues by name.
BROKER_KEYS = "~default* ~imports* ~_kombu.* ~unacked* ~celery* ~*.celery.pidbox* ~*.reply.celery.pidbox* ~celeryev*"
#: No FLUSHALL, CONFIG or KEYS (all in @dangerous). INFO is for `anp check`, RESTORE for the script that makes room.
COMMON = (
    "-@all +@read +@write +@connection +@transaction +@pubsub +@scripting -function +time -@admin -@dangerous +info"
)
WORKING = f"{COMMON} +restore"
#: Flower reads the queues and the ledger, listens to events and asks workers; it writes only kombu's own bindings.
ASKING = "~_kombu.* ~*.reply.celery.pidbox* ~celeryev* ~unacked_mutex %R~default* %R~imports* %R~unacked* %R~anp:*"
HEALTH = "user health on nopass resetkeys resetchannels -@all +ping\n"


def password(name: str) -> str:
    """A kept password, made at first; 32 random bytes, safe in a URL."""
    path = FOLDER / name
    if not path.exists():
        write(name, secrets.token_urlsafe(32))
    return path.read_text(encoding="utf-8").strip()


def write(name: str, text: str) -> None:
    """A file that nobody else could read at any moment."""
    path = FOLDER / name
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    if os.geteuid() == 0:
        os.chown(path, CONTAINER_USER, CONTAINER_USER)


def address(name: str, url: str) -> None:
    """A URL with a password in it, written anew for another password; one that leads elsewhere is the operator's."""
    path = FOLDER / name
    if not path.exists() or _place(path.read_text(encoding="utf-8").strip()) == _place(url):
        write(name, url)


def _place(url: str) -> tuple[str, str | None, str, str, str]:
    """A URL without its password."""
    parts = urlsplit(url)
    return parts.scheme, parts.username, parts.netloc.rpartition("@")[2], parts.path, parts.query


def user(name: str, secret: str, rights: str) -> str:
    """One line of a Redis ACL file; only the hash of the password stands in it."""
    return f"user {name} on #{hashlib.sha256(secret.encode()).hexdigest()} {rights}\n"


def main() -> int:
    """Make what is missing, and derive the Redis users and the stack's own addresses anew."""
    os.umask(0o077)
    FOLDER.mkdir(exist_ok=True, parents=True)
    # The folder may be entered, so that the engine can mount single files for another user.
    FOLDER.chmod(0o711)
    worker, flower, cache = password("ledger_password"), password("flower_redis_password"), password("cache_password")
    site = password("database_password")
    password("flower_password")
    password("grafana_password")
    # Nobody can log in as it, but Redis replays its append-only file as this user: without rights, transactions are
    # dropped and rows are lost.
    off = "user default off resetpass ~* &* +@all\n"
    ledger_acl = (
        off + HEALTH
        + user("anp", worker, f"~anp:* {BROKER_KEYS} &* {WORKING}")
        + user("flower", flower, f"{ASKING} &* {COMMON}")
    )  # fmt: skip
    cache_acl = off + HEALTH + user("anp", cache, f"~anp:site:* ~anp:wp:* resetchannels {WORKING} +flushdb")
    write("ledger_acl", ledger_acl.strip())
    write("cache_acl", cache_acl.strip())
    address("redis_url", f"redis://anp:{worker}@redis:6379/0")
    address("flower_redis_url", f"redis://flower:{flower}@redis:6379/0")
    address("cache_url", f"redis://anp:{cache}@cache:6379/0")
    address("database_url", f"mysql+pymysql://anp:{site}@mariadb/site?charset=utf8mb4")
    if not (FOLDER / "alert_url").exists():
        write("alert_url", "")
    if not (ROOT / ".env").exists():
        owner = CONTAINER_USER if os.geteuid() == 0 else os.geteuid()
        example = (ROOT / ".env.example").read_text(encoding="utf-8")
        (ROOT / ".env").write_text(example.replace("ANP_UID=10001", f"ANP_UID={owner}"), encoding="utf-8")
    sys.stdout.write(f"{FOLDER}/ and .env are there; neither belongs into git\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
