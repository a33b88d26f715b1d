"""Bringing a lake to the version this code writes, one step in one transaction."""

from collections.abc import Callable, Mapping, Sequence

import duckdb

from mail_pipeline.addresses import GOOGLE, PLUS_IS_A_TAG
from mail_pipeline.errors import StopRun
from mail_pipeline.lake import schema
from mail_pipeline.lake.attachment_tables import ATTACHMENT_TABLES
from mail_pipeline.lake.mart_tables import MART_TABLES
from mail_pipeline.lake.stream_tables import STREAM_TABLES
from mail_pipeline.lake.transaction import Transaction

_LIVE = ("notifications", "fetches", "written_beside", "webhooks", "gaps", "reconciliations")

_ATTACHMENT_FILES = tuple(line for table in ATTACHMENT_TABLES for line in table.ddl())
_STREAMS = (
    "ALTER TABLE checkpoints RENAME COLUMN folder_id TO scope",
    "ALTER TABLE checkpoints ADD COLUMN stream VARCHAR DEFAULT 'messages'",
    *(
        f"ALTER TABLE checkpoints ADD COLUMN planned_{what} BIGINT"
        for what in ("messages", "pages", "units", "seconds")
    ),
    *(line for table in STREAM_TABLES for line in table.ddl()),
)
_CANONICAL = (
    "message_participants",
    f"""
    UPDATE message_participants SET
        address_canonical = CASE WHEN domain IN {tuple(sorted(GOOGLE))}
            THEN replace(regexp_extract(address_canonical, '^[^+@]+'), '.', '') || '@gmail.com'
            ELSE regexp_extract(address_canonical, '^[^+@]+') || '@' || domain END,
        domain = if(domain IN {tuple(sorted(GOOGLE))}, 'gmail.com', domain)
    WHERE domain IN {tuple(sorted(PLUS_IS_A_TAG))}
    AND regexp_matches(address_canonical, '^[^+@]+(\\+[^@]*)?@')
        AND (contains(address_canonical, '+') OR domain = 'googlemail.com'
            OR (domain = 'gmail.com' AND contains(split_part(address_canonical, '@', 1), '.')))
    """,
)
"""Versions before compared addresses in lower case only; international domains stay as they were then."""
_MARTS = tuple(line for table in MART_TABLES for line in table.ddl())

_SUBSETS = (
    "ALTER TABLE all_grants ADD COLUMN streams_off VARCHAR[]",
    "ALTER TABLE all_folders ADD COLUMN excluded BOOLEAN",
    "ALTER TABLE checkpoints ADD COLUMN subset VARCHAR",
    "ALTER TABLE checkpoints ADD COLUMN adding VARCHAR",
)

Change = tuple[str, str]
"""A table and a statement that writes rows of it."""

STEPS: Mapping[int, Sequence[str | Change]] = {
    2: (
        "ALTER TABLE all_messages ADD COLUMN remains VARCHAR",
        *(line for name in _LIVE for line in schema.TABLES[name].ddl()),
    ),
    3: (*_STREAMS, *_ATTACHMENT_FILES, *_SUBSETS, *_MARTS, _CANONICAL),
    4: ("ALTER TABLE checkpoints ADD COLUMN reached TIMESTAMPTZ",),
}
"""For each version after the first, the statements that lead to it from the one before."""

_RECORD = "INSERT INTO schema_versions VALUES (?, now())"


def version_of(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the version of the attached lake, 0 for one without tables."""
    try:
        found = connection.execute("SELECT max(version) FROM schema_versions").fetchone()
    except duckdb.CatalogException:
        return 0
    return int(found[0]) if found and found[0] is not None else 0


def migrate(
    connection: duckdb.DuckDBPyConnection,
    new_transaction: Callable[[], Transaction],
    *,
    target: int = schema.VERSION,
    steps: Mapping[int, Sequence[str | Change]] = STEPS,
) -> None:
    """Bring the attached lake to version `target`: a new one at once, an older one step by step.

    Each step is whole or not done, so a crash leaves an older version and the next start goes on. Views are
    made anew with the last step. Raises StopRun where the lake is newer than `target`.
    """
    current = version_of(connection)
    if current > target:
        raise StopRun(
            f"The lake was written by a newer mail_pipeline: its schema version is {current}, "
            f"this program knows {target}",
            next_step="Update mail_pipeline, or set MAIL_PIPELINE_DATA to another folder.",
        )
    while current < target:
        following = target if current == 0 else current + 1
        # A view may need a table that a later step makes.
        views = _views() if following == target else []
        statements: list[str | Change] = _creation() if current == 0 else [*steps[following], *views]
        with new_transaction() as transaction:
            for statement in statements:
                if isinstance(statement, str):
                    transaction.rows(statement)
                else:
                    transaction.change(*statement)
            transaction.change("schema_versions", _RECORD, [following])
        current = following


def _creation() -> list[str | Change]:
    return [*(line for table in schema.STORED for line in table.ddl()), *_views()]


def _views() -> list[str]:
    return [line for view in schema.VIEWS for line in view.ddl()]
