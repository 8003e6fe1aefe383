"""Every security setting, in sight."""

from __future__ import annotations

#: What a worker accepts and what is sent: nothing that can run code when it is read.
CONTENT = ("json",)
#: Bytes of one message with its input.
INPUT_LIMIT = 256 * 1024
#: Bytes of one result.
RESULT_LIMIT = 256 * 1024
#: Bytes of one undo entry, and of all undo entries of a run.
UNDO_ENTRY_LIMIT = 64 * 1024
UNDO_LIMIT = 4 * 1024 * 1024
#: Bytes of an error's message and traceback that the ledger keeps.
ERROR_LIMIT = 8 * 1024
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
