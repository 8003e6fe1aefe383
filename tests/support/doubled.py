"""A run's message once more: what is doubled does no harm."""

from __future__ import annotations

from celery_anp.reliability.ledger import Ledger


def double(ledger: Ledger, run_id: str) -> bool:
    """Put a run's message on its list again, if it has a row; whether it has."""
    client = ledger.store.client
    row = client.hgetall(ledger.row_key(run_id))
    if row:
        stamp = f'"anp_rung": {row.get("rung") or 1}'
        assert '"anp_rung": 0' in row["message"]
        client.lpush(row["list"], row["message"].replace('"anp_rung": 0', stamp, 1))
    return bool(row)
