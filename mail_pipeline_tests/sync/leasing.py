"""Time passing for leases, without waiting for it."""

import sqlite3
from contextlib import closing
from pathlib import Path


def run_out(data: Path, grant_id: str) -> None:
    """Do to a lease what a minute without renewal does."""
    with closing(sqlite3.connect(data / "state.sqlite", timeout=30)) as connection, connection:
        changed = connection.execute("UPDATE leases SET expires_at = 1 WHERE grant_id = ?", [grant_id])
        assert changed.rowcount == 1
