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
