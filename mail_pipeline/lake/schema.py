"""Every table, view and column of the lake, described once.

The DDL, the comments readers see in DuckDB and the column schemas in the Dagster UI all come from here.
"""

from mail_pipeline.lake.attachment_tables import ATTACHMENT_TABLES
from mail_pipeline.lake.books import BOOKS, CHECKPOINT_COLUMNS
from mail_pipeline.lake.mart_tables import MART_TABLES, MART_VIEWS
from mail_pipeline.lake.stream_tables import STREAM_TABLES, STREAM_VIEWS
from mail_pipeline.lake.table import GRANT_ID, MESSAGE_ID, OBSERVED_AT, Column, Table, columns

VERSION = 4
"""Schema version this code writes; a lake of a newer one is refused."""


_RETURNED_AT = ("returned_at", "TIMESTAMPTZ", "When it came back after it had been gone; null for never.")
_DELETED_AT = ("deleted_at", "TIMESTAMPTZ", "When it was found to be gone; null while it exists.")
_EXTRA = ("extra", "JSON", "Fields of the API this schema has no column for, as they came.")

_STREAMS_OFF = ("streams_off", "VARCHAR[]", "Streams that the configuration file leaves out.")
_EXCLUDED = ("excluded", "BOOLEAN", "The configuration file leaves it out: its mail is not mirrored.")

_GRANT_COLUMNS = columns(
    ("id", "VARCHAR", "The grant: one connected account."),
    ("provider", "VARCHAR", "google, microsoft, ews, imap, yahoo, icloud or another name of the API."),
    ("email", "VARCHAR", "Address of the account; null for accounts without one."),
    ("status", "VARCHAR", "valid, or invalid when the owner must connect again."),
    ("scopes", "VARCHAR[]", "What the owner allowed."),
    ("per_folder", "BOOLEAN", "True where old mail is only reached folder by folder (IMAP, Yahoo, iCloud)."),
    ("created_at", "TIMESTAMPTZ", "When the account was connected."),
    ("updated_at", "TIMESTAMPTZ", "When its owner last authenticated; not when it last synced."),
    _EXTRA,
    OBSERVED_AT,
)
_FOLDER_COLUMNS = columns(
    GRANT_ID,
    ("id", "VARCHAR", "The folder or label, as messages refer to it."),
    ("name", "VARCHAR", "Name people see."),
    (
        "role",
        "VARCHAR",
        "inbox, sent, drafts, trash, junk, archive, all, starred, important; else null.",
    ),
    ("parent_id", "VARCHAR", "Folder above it, where the provider nests (Microsoft, EWS)."),
    ("total_count", "BIGINT", "Messages the provider says it holds."),
    ("unread_count", "BIGINT", "Unread messages the provider says it holds."),
    ("attributes", "VARCHAR[]", "Special-use attributes such as \\Sent, as the API gave them."),
    (
        "partition_key",
        "VARCHAR",
        "Partition that backfills this folder; null where one pass covers all.",
    ),
    _EXTRA,
    OBSERVED_AT,
)
_MESSAGE_COLUMNS = columns(
    GRANT_ID,
    ("id", "VARCHAR", "Message id of the API, byte for byte; unique within the grant."),
    ("thread_id", "VARCHAR", "Conversation the provider put it in."),
    ("subject", "VARCHAR", "Subject line."),
    ("from_name", "VARCHAR", "Name of the first sender."),
    ("from_address", "VARCHAR", "Address of the first sender as given."),
    ("date", "TIMESTAMPTZ", "When the mail server received it, whole seconds (not the Date header)."),
    ("folders", "VARCHAR[]", "Ids of all folders or labels it is in, sorted."),
    ("unread", "BOOLEAN", "Not read yet."),
    ("starred", "BOOLEAN", "Starred or flagged."),
    ("snippet", "VARCHAR", "First words of the text."),
    ("has_attachments", "BOOLEAN", "At least one attachment, inline ones included."),
    ("attachment_count", "INTEGER", "Number of attachments, inline ones included."),
    ("attachment_bytes", "BIGINT", "Their sizes added up; sizes are approximate (Microsoft above all)."),
    ("body_bytes", "BIGINT", "Size of the body in UTF-8; null while no body has been seen."),
    ("body_hash", "UBIGINT", "First 8 bytes of the body's SHA-256, big-endian; tells an edit from a repeat."),
    _EXTRA,
    OBSERVED_AT,
)
_MESSAGE_STATE = columns(
    (
        "field_times",
        "VARCHAR",
        "Unix seconds of fields older than observed_at, null for never seen.",
    ),
    ("folder_times", "JSON", "Unix seconds a folder pass saw (or, negative, missed) the message."),
    _DELETED_AT,
    ("remains", "VARCHAR", "People and attachments of a message that is gone, should it come back."),
)


def _select(shown: tuple[Column, ...], source: str) -> str:
    return f"SELECT {', '.join(column.name for column in shown)} FROM {source} WHERE deleted_at IS NULL"


# Gmail's labels overlap, but mail received has one category, and mail sent, drafted or thrown away has none.
_MAILBOXES = """
WITH newest AS (
    SELECT * FROM checkpoints QUALIFY row_number() OVER (PARTITION BY partition_key ORDER BY version DESC) = 1
), counted AS (
    SELECT grant_id, sum(total_count)::BIGINT AS total FROM all_folders
    WHERE deleted_at IS NULL GROUP BY grant_id
), labelled AS (
    SELECT grant_id, (
        coalesce(greatest(
            sum(total_count) FILTER (id = 'INBOX'), sum(total_count) FILTER (starts_with(id, 'CATEGORY_'))
        ), 0) + coalesce(sum(total_count) FILTER (id IN ('SENT', 'DRAFT', 'SPAM', 'TRASH')), 0)
    )::BIGINT AS total
    FROM all_folders WHERE deleted_at IS NULL GROUP BY grant_id HAVING count(total_count) > 0
), known AS (
    SELECT *, NOT coalesce(list_contains(streams_off, 'messages'), false) AS mail FROM all_grants
), expected AS (
    SELECT g.id AS partition_key, g.id AS grant_id, NULL AS folder_id, NULL AS folder_name,
        CASE WHEN g.provider IN ('microsoft', 'ews') THEN c.total END AS reported,
        CASE g.provider WHEN 'google' THEN l.total ELSE c.total END AS expected,
        g.provider, g.created_at, g.returned_at, g.deleted_at IS NULL AND g.mail AS active
    FROM known g LEFT JOIN counted c ON c.grant_id = g.id LEFT JOIN labelled l ON l.grant_id = g.id
    WHERE NOT g.per_folder AND g.provider NOT IN ('virtual-calendar', 'zoom')
    UNION ALL
    SELECT f.partition_key, g.id, f.id, f.name, f.total_count, f.total_count, g.provider, g.created_at,
        greatest(g.returned_at, f.returned_at),
        g.deleted_at IS NULL AND g.mail AND f.deleted_at IS NULL AND NOT coalesce(f.excluded, false)
    FROM all_folders f JOIN known g ON g.id = f.grant_id
    WHERE g.per_folder AND f.partition_key IS NOT NULL
    UNION ALL
    SELECT g.id || '/@recent', g.id, NULL, NULL, NULL, NULL, g.provider, g.created_at, g.returned_at,
        g.deleted_at IS NULL AND g.mail
    FROM known g WHERE g.per_folder
)
SELECT e.partition_key, e.grant_id, e.provider, e.folder_id, e.folder_name, e.active,
    CASE WHEN coalesce(n.updated_at >= e.returned_at, n.state IS NOT NULL) THEN n.state
        ELSE 'registered' END AS state,
    coalesce(n.pass, 0) AS pass, n.cursor, coalesce(n.pages, 0) AS pages,
    coalesce(n.messages, 0) AS messages, coalesce(n.ids_seen, 0) AS ids_seen, e.reported, n.oldest, n.newest,
    n.since, n.first_fetch, n.last_fetch, coalesce(n.requests, 0) AS requests,
    coalesce(n.body_bytes, 0) AS body_bytes, coalesce(n.quota_units, 0) AS quota_units,
    coalesce(n.dead_letters, 0) AS dead_letters, coalesce(n.subscribed, false) AS subscribed,
    n.reason, n.next_step, n.until, n.updated_at, e.expected,
    n.planned_messages, n.planned_pages, n.planned_units, n.planned_seconds
FROM expected e LEFT JOIN newest n USING (partition_key)
ORDER BY e.created_at, e.grant_id, e.folder_id IS NOT NULL, e.partition_key
"""

_CHECKPOINTED = {column.name: column for column in CHECKPOINT_COLUMNS}
_MAILBOX_COLUMNS = (
    *columns(
        ("partition_key", "VARCHAR", "The partition in Dagster: GRANT, GRANT/FOLDER or GRANT/@recent."),
        GRANT_ID,
        ("provider", "VARCHAR", "Provider of the grant."),
        ("folder_id", "VARCHAR", "True id of the folder; null where one pass covers the grant."),
        ("folder_name", "VARCHAR", "Name people see."),
        ("active", "BOOLEAN", "The grant, and the folder if any, exist now."),
        ("state", "VARCHAR", "registered, listing, complete, paused or failed."),
    ),
    *(_CHECKPOINTED[name] for name in ("pass", "cursor", "pages", "messages", "ids_seen")),
    Column("reported", "BIGINT", "Messages the provider says it holds, where that can be compared."),
    *(
        _CHECKPOINTED[name]
        for name in (
            "oldest",
            "newest",
            "since",
            "first_fetch",
            "last_fetch",
            "requests",
            "body_bytes",
            "quota_units",
            "dead_letters",
            "subscribed",
            "reason",
            "next_step",
            "until",
            "updated_at",
        )
    ),
    Column("expected", "BIGINT", "Messages to expect by what folders report now; for Gmail an estimate."),
    *(
        _CHECKPOINTED[name]
        for name in ("planned_messages", "planned_pages", "planned_units", "planned_seconds")
    ),
)

_SHOWN_GRANT = (*_GRANT_COLUMNS, *columns(_STREAMS_OFF))
_SHOWN_FOLDER = (*_FOLDER_COLUMNS, *columns(_EXCLUDED))

STORED = (
    Table(
        "schema_versions",
        "Which versions of this schema the lake has had.",
        columns(
            ("version", "INTEGER", "Schema version."),
            ("applied_at", "TIMESTAMPTZ", "When the lake was brought to it."),
        ),
    ),
    Table(
        "all_grants",
        "Connected accounts, gone ones too.",
        (*_GRANT_COLUMNS, *columns(_RETURNED_AT, _DELETED_AT, _STREAMS_OFF)),
    ),
    Table(
        "all_folders",
        "Folders and labels, gone ones too.",
        (*_FOLDER_COLUMNS, *columns(_RETURNED_AT, _DELETED_AT, _EXCLUDED)),
        sorted_by=("grant_id", "id"),
    ),
    Table(
        "all_messages",
        "Messages, deleted ones too, with what the merge needs to know.",
        (*_MESSAGE_COLUMNS, *_MESSAGE_STATE),
        sorted_by=("grant_id", "date"),
    ),
    Table(
        "message_bodies",
        "Bodies, apart from the rest as they are 27 times its size; that of a deleted message stays.",
        columns(
            GRANT_ID,
            ("id", "VARCHAR", "The message, as in `messages.id`."),
            ("body", "VARCHAR", "Body as the provider gave it: HTML where there is some, else plain text."),
        ),
    ),
    Table(
        "message_participants",
        "Who wrote to whom: one row per message, role and position.",
        columns(
            GRANT_ID,
            MESSAGE_ID,
            ("role", "VARCHAR", "from, to, cc, bcc or reply_to."),
            ("position", "INTEGER", "Place in the list, from 0."),
            ("name", "VARCHAR", "Display name in this message."),
            ("address", "VARCHAR", "Address as given."),
            ("address_canonical", "VARCHAR", "Address in canonical form, to group by."),
            ("domain", "VARCHAR", "Part of the canonical address after the @."),
        ),
        sorted_by=("grant_id", "message_id"),
    ),
    Table(
        "message_folders",
        "Which message is in which folder now.",
        columns(
            GRANT_ID,
            MESSAGE_ID,
            ("folder_id", "VARCHAR", "The folder, as in `folders.id`."),
        ),
        sorted_by=("grant_id", "folder_id"),
    ),
    Table(
        "attachments",
        "What the API tells of attachments; never their bytes.",
        columns(
            GRANT_ID,
            MESSAGE_ID,
            (
                "position",
                "INTEGER",
                "Place in the message, from 0; with the message the key, as ids may change.",
            ),
            ("id", "VARCHAR", "Attachment id of the API."),
            ("filename", "VARCHAR", "File name."),
            ("content_type", "VARCHAR", "Content type with its parameters, as given."),
            ("size", "BIGINT", "Bytes, approximate."),
            ("is_inline", "BOOLEAN", "Shown inside the body."),
            ("content_id", "VARCHAR", "Id the body refers to."),
            ("content_disposition", "VARCHAR", "inline or attachment, where given."),
        ),
        sorted_by=("grant_id", "message_id"),
    ),
    *ATTACHMENT_TABLES,
    *STREAM_TABLES,
    *BOOKS,
    *MART_TABLES,
)
"""The tables, in the order in which they are created."""

MAIL_TABLES = ("all_messages", "message_participants", "message_folders", "attachments")
"""What holds a message, but for its body."""

VIEWS = (
    Table("grants", "Connected accounts.", _SHOWN_GRANT, select=_select(_SHOWN_GRANT, "all_grants")),
    Table("folders", "Folders and labels.", _SHOWN_FOLDER, select=_select(_SHOWN_FOLDER, "all_folders")),
    Table(
        "messages",
        "Messages that exist, one row per (grant_id, id).",
        _MESSAGE_COLUMNS,
        select=_select(_MESSAGE_COLUMNS, "all_messages"),
    ),
    Table(
        "mailboxes",
        "The ledger: where each partition stands and how it got there.",
        _MAILBOX_COLUMNS,
        select=_MAILBOXES,
    ),
    *STREAM_VIEWS,
    *MART_VIEWS,
)
"""What people query where the tables keep more than they want to see."""

TABLES = {table.name: table for table in (*STORED, *VIEWS)}
