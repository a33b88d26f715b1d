"""A lake in which something is wrong."""

from pathlib import Path

from mail_pipeline.lake.connection import attach, open_duckdb


def spoil(data: Path, grant_id: str) -> None:
    """Forget the newest messages of a grant, and that another one was read."""
    with open_duckdb() as lake:
        attach(lake, data, read_only=False)
        lake.execute(
            "DELETE FROM all_messages WHERE grant_id = $1 AND id IN "
            "(SELECT id FROM all_messages WHERE grant_id = $1 ORDER BY date DESC, id LIMIT 2)",
            [grant_id],
        )
        lake.execute(
            "UPDATE all_messages SET unread = NOT unread WHERE grant_id = $1 AND id = "
            "(SELECT max(id) FROM all_messages WHERE grant_id = $1)",
            [grant_id],
        )


def disconnect(data: Path, grant_id: str) -> None:
    """Note that a grant was not there when the grants were last listed."""
    with open_duckdb() as lake:
        attach(lake, data, read_only=False)
        lake.execute("UPDATE all_grants SET deleted_at = now() WHERE id = ?", [grant_id])
