"""The questions asked about attachments and the files that hold their bytes."""

ATTACHMENTS_TO_FETCH = """
SELECT a.message_id, a.position, a.id, a.filename, a.content_type, a.size,
    epoch(m.date)::BIGINT AS date, f.state IS NOT NULL AS known,
    (
        SELECT min(folder_id) FROM message_folders p
        WHERE p.grant_id = a.grant_id AND p.message_id = a.message_id
    ) AS folder_id
FROM attachments a
JOIN messages m ON m.grant_id = a.grant_id AND m.id = a.message_id
LEFT JOIN attachment_files f
    ON f.grant_id = a.grant_id AND f.message_id = a.message_id AND f.position = a.position
WHERE a.grant_id = $grant
    AND ($since::BIGINT IS NULL OR m.date >= to_timestamp($since::BIGINT))
    AND ($inline::BOOLEAN IS NULL OR coalesce(a.is_inline, false) = $inline::BOOLEAN)
    AND CASE
        WHEN f.told_name IS DISTINCT FROM a.filename OR f.told_size IS DISTINCT FROM a.size THEN true
        WHEN f.state = 'stored' THEN false
        WHEN f.state = 'skipped' THEN f.largest < $largest
        WHEN f.state = 'gone' THEN $gone
        ELSE true
    END
ORDER BY m.date DESC NULLS LAST, a.message_id, a.position
"""
"""What is not there yet of a grant's attachments, newest first; `known` where a row speaks of it already."""

ATTACHMENT_COUNTS = """
SELECT g.id AS grant_id, g.provider, count(*) AS attachments, coalesce(sum(a.size), 0)::BIGINT AS told_bytes,
    count_if(f.state = 'stored') AS stored, coalesce(sum(f.size), 0)::BIGINT AS bytes,
    count_if(f.state = 'skipped') AS skipped, count_if(f.state = 'gone') AS gone,
    count_if(f.state = 'failed') AS failed, count_if(f.state IS NULL) AS waiting
FROM grants g
JOIN attachments a ON a.grant_id = g.id
LEFT JOIN attachment_files f
    ON f.grant_id = a.grant_id AND f.message_id = a.message_id AND f.position = a.position
    AND f.told_name IS NOT DISTINCT FROM a.filename AND f.told_size IS NOT DISTINCT FROM a.size
GROUP BY ALL ORDER BY g.provider, g.id
"""
"""Of each grant, what became of its attachments."""

LAKE_MADE_AT = "SELECT epoch_us(min(applied_at)) FROM schema_versions"
"""Microseconds since 1970: no two lakes have the same."""

STORED_FILES = """
SELECT count(*), coalesce(sum(size), 0)::BIGINT FROM (
    SELECT sha256, any_value(size) AS size FROM attachment_files WHERE sha256 IS NOT NULL GROUP BY sha256
)
"""
"""Files of attachments and their bytes, the same bytes counted once."""

FILES_OF_GRANT_ALONE = """
SELECT sha256 FROM attachment_files WHERE sha256 IS NOT NULL
GROUP BY sha256 HAVING bool_and(grant_id = ?) LIMIT ?
"""

FORGET_ATTACHMENT_FILES = "DELETE FROM attachment_files WHERE grant_id = ?"

ORPHANED_FILES = "SELECT sha256 FROM files ANTI JOIN attachment_files USING (sha256)"
"""Those of the table `files` that no attachment refers to."""
