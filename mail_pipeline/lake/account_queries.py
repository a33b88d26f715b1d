"""The questions asked of the lake where grants and folders are listed, and of what of them cannot be read."""

ALL_GRANTS = "SELECT * FROM all_grants"

ALL_FOLDERS = "SELECT * FROM all_folders"

DEAD_LETTERS_OF = "SELECT * FROM dead_letters WHERE object = ?"

FORGET_DEAD_LETTERS = """
DELETE FROM dead_letters d USING read_now r
WHERE d.object = r.object AND d.grant_id IS NOT DISTINCT FROM r.grant_id
    AND d.object_id IS NOT DISTINCT FROM r.object_id AND d.reason = r.reason AND d.stored = r.stored
    AND (d.object_id IS NOT NULL OR d.raw = r.raw)
"""

UNREAD_FOLDERS = "SELECT count(*) FROM dead_letters WHERE object = 'folder' AND NOT stored AND grant_id = ?"

UNREAD_ACCOUNTS = """
SELECT object, coalesce(grant_id, object_id) FROM dead_letters
WHERE NOT stored AND (object = 'grant' OR object = 'folder' AND grant_id IN (SELECT id FROM grants))
"""
"""Grants and folders of which the last list showed no more than that they are there, with the grant's id."""
