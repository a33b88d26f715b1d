"""Which messages have changed since the marts last looked? The statements by which a refresh finds out.

Every change of a message, its deletion too, is a row of `all_messages` written anew in a later snapshot of
the lake; so rows of snapshots above a grant's watermark are the whole change log. A merge of files keeps
each row's snapshot; a rewrite of a file gives its rows a newer one, so they are looked at once more. What
leaves no row, as an erased grant, shows in the count of those that are left.
"""

SNAPSHOT = "SELECT max(snapshot_id), now() FROM ducklake_snapshots('lake')"

GRANTS = "SELECT id, email, extra FROM all_grants"

CHANGES = """
WITH roles AS (
    SELECT grant_id, md5(string_agg(id || chr(0) || role, chr(0) ORDER BY id)) AS digest
    FROM all_folders WHERE role IS NOT NULL GROUP BY grant_id
), stored AS (
    SELECT m.grant_id, count(m.id) AS rows,
        count(m.id) FILTER (m.deleted_at IS NULL AND m.snapshot_id <= w.snapshot_id) AS kept,
        list(m.id) FILTER (m.snapshot_id > coalesce(w.snapshot_id, -1)) AS changed
    FROM all_messages m
    LEFT JOIN mart_watermarks w ON w.grant_id = m.grant_id
    GROUP BY m.grant_id
)
SELECT coalesce(s.grant_id, w.grant_id) AS grant_id, coalesce(s.rows, 0) AS rows, coalesce(s.kept, 0) AS kept,
    coalesce(s.changed, []) AS changed, w.snapshot_id, coalesce(r.digest, '') AS roles,
    w.definition IS DISTINCT FROM $definition OR w.roles IS DISTINCT FROM coalesce(r.digest, '') AS redo
FROM stored s
FULL JOIN mart_watermarks w ON w.grant_id = s.grant_id
LEFT JOIN roles r ON r.grant_id = coalesce(s.grant_id, w.grant_id)
"""
"""What there is of each grant, in one statement and so of one moment.

`kept` are messages that exist and have not changed: as many must be left of those known.
"""

REDO_MISCOUNTED = """
UPDATE found SET redo = true FROM (
    SELECT f.grant_id FROM found f LEFT JOIN (
        SELECT grant_id, count(message_id) AS known FROM message_facts
        ANTI JOIN (SELECT grant_id, unnest(changed) AS message_id FROM found) USING (grant_id, message_id)
        GROUP BY grant_id
    ) k USING (grant_id)
    WHERE f.kept <> coalesce(k.known, 0)
    UNION
    SELECT grant_id FROM (
        (FROM accounts EXCEPT SELECT grant_id, address, source FROM own_addresses WHERE source <> 'sent')
        UNION ALL
        (SELECT grant_id, address, source FROM own_addresses WHERE source <> 'sent' EXCEPT FROM accounts)
    )
) AS wrong
WHERE found.grant_id = wrong.grant_id
"""
"""Where rows have left without a trace, or the account has other addresses, all of it is made again."""

WORK = """
SELECT grant_id, if(redo, rows, len(changed)) AS messages FROM found WHERE redo OR len(changed) > 0
ORDER BY grant_id
"""

CHUNK = (
    "SELECT grant_id, rows, redo FROM found SEMI JOIN (SELECT unnest($grants) AS grant_id) USING (grant_id)"
)

CHANGED = """
WITH again AS (SELECT grant_id FROM chunk WHERE redo)
SELECT grant_id, unnest(changed) AS message_id FROM found SEMI JOIN (FROM chunk
    WHERE NOT redo) USING (grant_id)
UNION SELECT grant_id, id FROM all_messages SEMI JOIN again USING (grant_id)
UNION SELECT grant_id, message_id FROM message_facts SEMI JOIN again USING (grant_id)
"""

REDO_TURNED = """
UPDATE chunk SET redo = true FROM (SELECT DISTINCT grant_id FROM own_addresses_diff) AS turned
WHERE chunk.grant_id = turned.grant_id RETURNING chunk.grant_id
"""
"""Another own address turns the direction of any message of the grant."""

DIFF = """
(FROM {name}_was EXCEPT ALL FROM {name}_new) UNION ALL (FROM {name}_new EXCEPT ALL FROM {name}_was)
"""

GONE = "SELECT DISTINCT {key} FROM {name}_was SEMI JOIN {name}_diff USING ({key})"

COME = "FROM {name}_new SEMI JOIN {name}_diff USING ({key})"

WATERMARKS = """
SELECT grant_id, $snapshot::BIGINT AS snapshot_id, $definition AS definition, f.roles,
    $at::TIMESTAMPTZ AS refreshed_at
FROM found f SEMI JOIN chunk USING (grant_id) WHERE f.rows > 0
"""

WATERMARKS_BEFORE = """
SELECT grant_id, snapshot_id FROM found SEMI JOIN chunk USING (grant_id) WHERE snapshot_id IS NOT NULL
"""

WATERMARKS_NOW = "SELECT grant_id, snapshot_id FROM mart_watermarks SEMI JOIN chunk USING (grant_id)"

COUNTS = "SELECT (SELECT count(*) FROM changed), (SELECT count(*) FROM chunk)"
