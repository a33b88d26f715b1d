"""The questions the program asks of the lake. What is asked about comes as parameters or as Arrow tables."""

ALL_GRANTS = "SELECT * FROM all_grants"

ALL_FOLDERS = "SELECT * FROM all_folders"

DEAD_LETTERS_RAW = "SELECT raw FROM dead_letters WHERE object = ?"

MESSAGE_IDS = "SELECT id FROM all_messages WHERE grant_id = ?"

GRANTS_LISTED_AT = "SELECT max(observed_at) FROM grants"

ACTIVE_MAILBOXES = "SELECT partition_key, state, since FROM mailboxes WHERE active"

MAILBOXES = """
SELECT partition_key, grant_id, provider, folder_id, folder_name, reported, active, state
FROM mailboxes SEMI JOIN wanted USING (partition_key)
"""
"""The mailboxes whose partition keys are in the table `wanted`."""

NEWEST_CHECKPOINTS = """
SELECT * FROM checkpoints SEMI JOIN wanted USING (partition_key)
QUALIFY row_number() OVER (PARTITION BY partition_key ORDER BY version DESC) = 1
"""
"""Where the mailboxes whose partition keys are in the table `wanted` stand."""

MISSED_IN_FOLDER = """
WITH unread AS (
    SELECT object_id FROM dead_letters
    WHERE partition_key = $partition AND NOT stored AND observed_at >= to_timestamp($began)
)
SELECT m.id FROM all_messages m SEMI JOIN message_folders f
    ON f.grant_id = m.grant_id AND f.message_id = m.id AND f.folder_id = $folder
WHERE m.grant_id = $grant
    AND coalesce(
        (m.folder_times::MAP(VARCHAR, BIGINT))[$folder],
        (m.field_times->>'folders')::BIGINT,
        epoch(m.observed_at)::BIGINT
    ) < $began
    AND ($since::BIGINT IS NULL OR m.date >= to_timestamp($since::BIGINT))
    AND m.id NOT IN (SELECT object_id FROM unread WHERE object_id IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM unread WHERE object_id IS NULL)
"""
"""The messages of a folder whose newest word on that folder is older than the pass that has just ended.

Not those that may have been on it unreadable: a record without a readable id may be any of them.
"""

MESSAGE_COPIES = """
SELECT coalesce(sum(copies), 0)::BIGINT, count_if(copies > 1)
FROM (SELECT count(*) AS copies FROM all_messages GROUP BY grant_id, id)
"""
"""Rows of messages, and how many messages have more than one."""

INCOMPLETE_MAILBOXES = """
SELECT partition_key, state, coalesce(reason, ''), coalesce(next_step, '')
FROM mailboxes WHERE active AND state <> 'complete' ORDER BY state, partition_key
"""

DEAD_LETTER_COUNTS = "SELECT count(*), count_if(NOT stored) FROM dead_letters"
"""Records that could not be read, and those of them that were not stored after a repair either."""
