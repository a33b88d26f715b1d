"""The statements that take a grant out of the lake, where deleting its rows would not be right or not do."""

IS_KNOWN = """
SELECT EXISTS (FROM all_grants WHERE id = $grant) OR EXISTS (FROM notifications WHERE grant_id = $grant)
    OR EXISTS (FROM dead_letters WHERE grant_id = $grant)
"""
"""Whether anything ever told of a grant of this id."""

MESSAGES_OF_GRANT = "SELECT count(*) FROM all_messages WHERE grant_id = ?"

UNNAME_NOTIFICATIONS = """
UPDATE notifications SET id = NULL, grant_id = NULL, object_id = NULL WHERE grant_id = ?
"""
"""How far is applied, and when the last one came, must not be forgotten with whose it was."""

UNNAME_BESIDE = "UPDATE written_beside SET grant_id = '', message_id = '' WHERE grant_id = ?"
"""Committers at work count on batches that only grow."""

FORGET_DEAD_LETTERS_OF = """
DELETE FROM dead_letters WHERE grant_id = $grant OR contains(raw, to_json($grant::VARCHAR)::VARCHAR)
"""
"""A notification that could not be read may tell of it all the same."""
