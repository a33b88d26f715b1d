"""What became of each attachment whose bytes were asked for."""

from mail_pipeline.lake.table import GRANT_ID, MESSAGE_ID, Table, columns

STORED = "stored"
SKIPPED = "skipped"
GONE = "gone"
FAILED = "failed"

ATTACHMENT_TABLES = (
    Table(
        "attachment_files",
        "What became of the attachments whose bytes were asked for, and where the bytes lie; that of a "
        "message that is deleted stays.",
        columns(
            GRANT_ID,
            MESSAGE_ID,
            ("position", "INTEGER", "Place in the message, from 0, as in `attachments.position`."),
            ("state", "VARCHAR", "stored, skipped (too large), gone (not found) or failed."),
            ("sha256", "VARCHAR", "SHA-256 of the bytes in hex; null unless they are stored."),
            ("size", "BIGINT", "True number of bytes; null unless they are stored."),
            (
                "path",
                "VARCHAR",
                "Where they lie below MAIL_PIPELINE_ATTACHMENTS; the same for the same bytes.",
            ),
            ("told_name", "VARCHAR", "As `attachments.filename` when it was asked for."),
            (
                "told_size",
                "BIGINT",
                "As `attachments.size` then; a row speaks of the attachment while name and size are these.",
            ),
            ("largest", "BIGINT", "Bytes that were allowed; a skipped one is tried again when more are."),
            ("reason", "VARCHAR", "Why it is not stored."),
            ("next_step", "VARCHAR", "What to do about it."),
            ("fetched_at", "TIMESTAMPTZ", "When that was found."),
        ),
        sorted_by=("grant_id", "message_id"),
    ),
)
