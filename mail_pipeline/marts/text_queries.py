"""The questions asked of the lake to keep the texts up to the bodies."""

STALE = """
CREATE OR REPLACE TEMP TABLE stale AS
SELECT m.grant_id, m.id, m.body_hash
FROM messages m LEFT JOIN message_texts t ON t.grant_id = m.grant_id AND t.message_id = m.id
WHERE m.body_hash IS NOT NULL
    AND (t.body_hash IS DISTINCT FROM m.body_hash OR t.converter IS DISTINCT FROM $converter)
"""
"""Messages whose text is not that of their body by this converter."""

BODIES = """
SELECT s.grant_id, s.id AS message_id, b.body, s.body_hash
FROM message_bodies b JOIN stale s ON s.grant_id = b.grant_id AND s.id = b.id
"""

STILL_STALE = """
SELECT b.*, t.message_id IS NOT NULL AS known
FROM bodies b LEFT JOIN message_texts t ON t.grant_id = b.grant_id AND t.message_id = b.message_id
WHERE t.body_hash IS DISTINCT FROM b.body_hash OR t.converter IS DISTINCT FROM $converter
"""
"""Those of the `bodies` that another refresh has not converted meanwhile, and whether they have a text."""

STILL_THERE = """
SELECT t.grant_id, t.message_id FROM made t
SEMI JOIN messages m ON m.grant_id = t.grant_id AND m.id = t.message_id AND m.body_hash = t.body_hash
"""
"""Those of the texts `made` whose body is still that of its message."""

GONE = """
SELECT t.grant_id, t.message_id FROM message_texts t
ANTI JOIN (FROM messages WHERE body_hash IS NOT NULL) m ON m.grant_id = t.grant_id AND m.id = t.message_id
"""
