"""What the search index asks of the lake."""

LIVE = """
CREATE OR REPLACE TEMP VIEW live AS
SELECT grant_id, id, subject, (hash(grant_id, id, subject, body_hash) >> 1)::BIGINT AS likeness FROM messages
"""
"""Makes the view `live`: the messages that exist, each with its likeness, a number of 63 bits.

Equal messages have equal ones in one version of DuckDB; under another, each message is indexed once more.
"""

LAKE_STATE = """
SELECT snapshot_id || ' ' || epoch_us(snapshot_time) FROM ducklake_snapshots('lake')
ORDER BY snapshot_id DESC LIMIT 1
"""
"""Which commit is the newest; its time tells a lake that was made anew from the one before."""

OUTDATED = "SELECT number FROM indexed ANTI JOIN live USING (likeness)"
"""The documents in the table `indexed` whose message is gone or different now."""

MISSING_COUNT = "SELECT count(*) FROM live ANTI JOIN indexed USING (likeness)"

MISSING = """
SELECT m.grant_id, m.id, m.likeness, coalesce(m.subject, ''), coalesce(b.body, '')
FROM (SELECT * FROM live ANTI JOIN indexed USING (likeness)) m
LEFT JOIN message_bodies b ON b.grant_id = m.grant_id AND b.id = m.id
"""
"""The messages that no document in the table `indexed` is like, with their bodies."""

TERMS = "SELECT search_terms(?)"
"""Words as the index takes them; empty where there is none to look for."""

FOUND = """
SELECT m.grant_id, m.id, m.date, m.from_name, m.from_address, m.subject, s.score
FROM search($words) s JOIN messages m ON m.grant_id = s.grant_id AND m.id = s.id
WHERE ($grant::VARCHAR IS NULL OR m.grant_id = $grant)
    AND ($sender::VARCHAR IS NULL OR contains(
        lower(coalesce(m.from_name, '') || ' <' || coalesce(m.from_address, '') || '>'), lower($sender)))
    AND ($folder::VARCHAR IS NULL OR EXISTS (
        SELECT 1 FROM folders f
        WHERE f.grant_id = m.grant_id AND list_contains(m.folders, f.id)
            AND (f.id = $folder OR f.role = lower($folder) OR lower(f.name) = lower($folder))
    ))
    AND ($since::TIMESTAMPTZ IS NULL OR m.date >= $since::TIMESTAMPTZ)
ORDER BY s.score DESC, m.date DESC, m.grant_id, m.id LIMIT $best
"""
"""Messages that exist and hold the words, the best first."""
