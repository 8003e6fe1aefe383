"""Every security setting, in sight."""

from __future__ import annotations

from typing import Any

from celery_anp.settings import Settings, settings

#: What a worker accepts and what is sent: nothing that can run code when it is read.
CONTENT = ("json",)
#: Bytes of one message with its input.
INPUT_LIMIT = 256 * 1024
#: Bytes of any message that a worker reads, also when it is unpacked, and its levels of lists and objects.
MESSAGE_LIMIT = 16 * 1024 * 1024
NESTING_LIMIT = 250
#: Bytes of Celery's record of one result; of a result that its row keeps whole, and of the beginning of a larger one.
RESULT_LIMIT = 16 * 1024 * 1024
ROW_RESULT_LIMIT = 256 * 1024
RESULT_BEGINNING = 8 * 1024
#: Bytes of one undo entry, and of all undo entries of a run.
UNDO_ENTRY_LIMIT = 64 * 1024
UNDO_LIMIT = 4 * 1024 * 1024
#: Bytes of an error's message and traceback that the ledger keeps.
ERROR_LIMIT = 8 * 1024
#: Bytes of a file that is imported, bytes of one record in it, and records in it.
IMPORT_FILE_LIMIT = 1024 * 1024 * 1024
IMPORT_RECORD_LIMIT = 2 * 1024 * 1024
IMPORT_ROW_LIMIT = 1_000_000
#: Seconds for a connection to a source and for the whole download, and how often it may send us elsewhere.
IMPORT_CONNECT_SECONDS, IMPORT_DOWNLOAD_SECONDS, IMPORT_REDIRECTS = 10.0, 600.0, 5
#: Headers of every page of Flower. Its pages hold scripts and styles of their own, and one library that builds code.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def tls(url: str, known: Settings | None = None) -> dict[str, Any]:
    """How a Redis is known to be ours, and we to it; for every connection: broker, results, ledger, cache.

    Its certificate must be signed by ANP_TLS_CA (else by one that the system trusts) and name the host of the URL.
    Limit: not for sentinels, which are asked in plain text.

    Args:
        url: of the Redis; only `rediss://` is encrypted.
        known: the settings to follow; None reads this process's.

    Returns:
        Options of redis-py's connection, which kombu and Celery hand on; empty for a URL that is not encrypted.
    """
    if not url.startswith("rediss://"):
        return {}
    import ssl  # only who encrypts pays for it

    known = known or settings()
    own = {"ssl_ca_certs": known.tls_ca, "ssl_certfile": known.tls_cert, "ssl_keyfile": known.tls_key}
    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,  # the oldest that is spoken with a Redis
        **{name: str(path) for name, path in own.items() if path is not None},
    }


def sentinel_login(known: Settings | None = None) -> dict[str, Any]:
    """What sentinels are told where they want a password of their own; empty where they do not."""
    password = (known or settings()).sentinel_password.get_secret_value()
    return {"password": password} if password else {}
