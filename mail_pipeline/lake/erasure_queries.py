"""The statements that take a grant out of the lake, where deleting its rows would not be right or not do."""

from mail_pipeline.lake.schema import STORED

TABLES_OF_GRANTS = tuple(table.name for table in STORED if "grant_id" in table.column_names)
"""The tables whose rows say which grant they are of."""

IS_STORED = "SELECT EXISTS (FROM all_grants WHERE id = $grant)" + "".join(
    f"\n    OR EXISTS (FROM {table} WHERE grant_id = $grant)" for table in TABLES_OF_GRANTS
)
"""Whether any table says anything of a grant."""

MESSAGES_OF_GRANT = "SELECT count(*) FROM all_messages WHERE grant_id = ?"

UNNAME_NOTIFICATIONS = """
UPDATE notifications SET id = NULL, grant_id = NULL, object_id = NULL, reason = NULL,
    outcome = CASE WHEN outcome IN ('dead', 'kept') THEN 'ignored' ELSE outcome END
WHERE grant_id = ?
"""
"""How far is applied, and when the last one came, must not be forgotten with whose it was."""

UNNAME_BESIDE = "UPDATE written_beside SET grant_id = '', message_id = '' WHERE grant_id = ?"
"""Committers at work count on batches that only grow."""

FORGET_DEAD_LETTERS_OF = """
DELETE FROM dead_letters WHERE grant_id = $grant OR contains(raw, to_json($grant::VARCHAR)::VARCHAR)
"""
"""A notification that could not be read may tell of it all the same."""

FORGET_LETTERS_OF_NOTIFICATIONS = """
DELETE FROM dead_letters USING forgotten
WHERE object = 'notification' AND object_id = forgotten.number
"""
"""Those of the landed notifications in the table `forgotten`: a compressed one does not show what it says."""
