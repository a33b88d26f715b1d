"""The questions asked of the lake about what the configuration file leaves out."""

FOLDERS_TO_JUDGE = "SELECT id, name, role, parent_id FROM folders WHERE grant_id = ?"

CHECKPOINT_KEYS = "SELECT DISTINCT partition_key FROM checkpoints WHERE grant_id = ?"

LISTED_SLICES = """
WITH newest AS (
    SELECT * FROM checkpoints QUALIFY row_number() OVER (PARTITION BY partition_key ORDER BY version DESC) = 1
)
SELECT n.partition_key, n.grant_id, n.stream, n.state, n.pass AS round, epoch(n.since)::BIGINT AS since,
    n.subset, coalesce(f.excluded, false) AS excluded
FROM newest n LEFT JOIN all_folders f ON f.partition_key = n.partition_key
WHERE n.pass > 0 AND n.state NOT IN ('registered', 'skipped')
"""
"""What was ever listed, with what was left out, and whether the last list of folders left it out."""

FORGET_CHECKPOINTS = "DELETE FROM checkpoints WHERE grant_id = ? AND stream = ?"

ALL_DEAD_LETTERS = "SELECT * FROM dead_letters"

FORGET_DEAD_LETTERS = "DELETE FROM dead_letters"

STORED_EXCLUDED = """
WITH people AS (
    SELECT DISTINCT message_id FROM message_participants
    WHERE grant_id = $grant
        AND (list_contains($roles::VARCHAR[], role) OR ($hashed AND NOT starts_with(address, 'hmac:')))
), judged AS (
    SELECT m.*,
        $off OR coalesce(date < to_timestamp($since::BIGINT), false)
            OR CASE WHEN $copies
                THEN NOT list_has_any(folders, $wanted::VARCHAR[]) AND (len(folders) > 0 OR $some)
                ELSE list_has_any(folders, $excluded::VARCHAR[])
                    OR ($some AND NOT list_has_any(folders, $wanted::VARCHAR[])) END
        AS outside
    FROM all_messages m WHERE grant_id = $grant
)
SELECT count(*) FILTER (outside),
    count(*) FILTER (NOT outside AND (
        p.message_id IS NOT NULL
        OR (body_bytes IS NOT NULL AND list_contains($columns::VARCHAR[], 'body_bytes'))
        OR (snippet IS NOT NULL AND list_contains($columns::VARCHAR[], 'snippet'))
        OR (subject IS NOT NULL AND list_contains($columns::VARCHAR[], 'subject'))
        OR (attachment_count IS NOT NULL AND list_contains($columns::VARCHAR[], 'attachment_count'))
        OR (thread_id IS NOT NULL AND list_contains($columns::VARCHAR[], 'thread_id'))
        OR (unread IS NOT NULL AND list_contains($columns::VARCHAR[], 'unread'))
        OR (starred IS NOT NULL AND list_contains($columns::VARCHAR[], 'starred'))
        OR coalesce(list_has_any(json_keys(extra), $extra::VARCHAR[]), false)
    ))
FROM judged LEFT JOIN people p ON p.message_id = judged.id
"""
"""How many messages of a grant the configuration file leaves out, and of how many others some fields."""

HAS_MARTS = """
SELECT (SELECT count(*) FROM mart_watermarks) > 0 OR (SELECT count(*) FROM message_texts) > 0
"""
"""Whether anything was ever made of the mail."""
