"""The questions the program asks of the lake. What is asked about comes as parameters or as Arrow tables."""

MESSAGE_IDS = "SELECT id FROM all_messages SEMI JOIN wanted USING (grant_id)"
"""The messages of the grants in the table `wanted`."""

IS_GRANT = "SELECT EXISTS (FROM all_grants WHERE id = ?)"

GRANTS_LISTED_AT = "SELECT max(observed_at) FROM grants"

ACTIVE_MAILBOXES = "SELECT partition_key, state, since FROM mailboxes WHERE active"

ACTIVE_GRANTS = "SELECT id FROM grants ORDER BY created_at, id"

VALID_GRANTS = "SELECT id, provider, coalesce(streams_off, []) FROM grants WHERE status = 'valid'"

LISTS_ENDED = "SELECT stream, grant_id, scope FROM stream_ledger WHERE state IN ('complete', 'skipped')"
"""The lists beside the mail that came to their ends, or that the provider does not offer."""

CALENDARS = "SELECT grant_id, id FROM calendars"

PACE = """
WITH ledger AS MATERIALIZED (
    FROM mailboxes
), pace AS (
    SELECT provider, median(epoch(last_fetch - first_fetch) / (pages - 1)) AS seconds_per_page
    FROM ledger WHERE state = 'complete' AND pass = 1 AND pages > 5 GROUP BY provider
)
"""
"""The mailboxes, read once, and how long a page of each provider has taken so far."""

MAILBOXES = f"""{PACE}
SELECT partition_key, grant_id, provider, folder_id, folder_name, reported, active, state, updated_at,
    expected, seconds_per_page
FROM ledger SEMI JOIN wanted USING (partition_key) LEFT JOIN pace USING (provider)
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

_UNREAD = """
    AND NOT EXISTS (
        SELECT 1 FROM dead_letters d
        WHERE d.partition_key = $partition AND NOT d.stored AND d.observed_at >= to_timestamp($began)
            AND coalesce(d.object_id, t.id) = t.id
    )
"""
"""Not those that a pass may have shown unreadable: a record without a readable id may be any of them."""

_MISSED = """
    t.grant_id = $grant AND t.deleted_at IS NULL AND t.observed_at < to_timestamp($began)
"""

MISSED_CONTACTS = f"""
SELECT t.id FROM all_contacts t
WHERE {_MISSED} AND coalesce(t.source, $scope) = $scope {_UNREAD}
"""

MISSED_CALENDARS = f"""
SELECT t.id FROM all_calendars t
WHERE {_MISSED} {_UNREAD}
"""

MISSED_THREADS = f"""
SELECT t.id FROM all_provider_threads t
WHERE {_MISSED} {_UNREAD}
"""

MISSED_EVENTS = f"""
SELECT t.id FROM all_events t
WHERE {_MISSED} AND t.calendar_id = $scope
    AND ($since::BIGINT IS NULL OR coalesce(t.ends_at, t.starts_at) >= to_timestamp($since::BIGINT)) {_UNREAD}
"""

GRANT_CALENDAR_IDS = "SELECT id FROM calendars WHERE grant_id = ? ORDER BY id"

GRANT_CALENDARS = """
SELECT id, name, (field_times->>'id')::BIGINT AS gone_before
FROM all_calendars WHERE grant_id = ? AND deleted_at IS NULL ORDER BY id
"""
"""A grant's calendars, with the time at which one that has returned was found to be gone, unix seconds."""

NEWEST_BESIDE = "SELECT coalesce(max(batch), 0) FROM written_beside"

BESIDE_SINCE = "SELECT batch, grant_id, message_id FROM written_beside WHERE batch > ?"

KNOWN_GRANTS = """
SELECT id, provider, status, per_folder, deleted_at IS NOT NULL AS gone,
    epoch(returned_at)::BIGINT AS returned_at
FROM all_grants
"""

APPLIED_UP_TO = "SELECT coalesce(max(number), 0) FROM notifications"

LANDED_AT = "SELECT epoch(received_at) FROM notifications WHERE number = ?"

APPLIED_BEFORE = """
SELECT coalesce(max(number), 0) FROM notifications WHERE applied_at < to_timestamp(?)
"""

NOTIFICATIONS_TO_REPLAY = """
SELECT number FROM notifications
WHERE outcome IN ('dead', 'kept') AND ($type::VARCHAR IS NULL OR type = $type OR trigger = $type)
ORDER BY number
"""

OF_UNKNOWN_GRANTS = """
SELECT number FROM notifications
SEMI JOIN grants ON grants.id = notifications.grant_id
WHERE outcome = 'dead' AND reason = ? ORDER BY number
"""
"""Dead notifications of grants that are known by now."""

KEPT_FOR_A_TABLE = "SELECT number FROM notifications WHERE outcome = 'kept' AND reason = ? ORDER BY number"

FORGET_NOTIFICATIONS = """
DELETE FROM notifications USING replayed WHERE notifications.number = replayed.number
"""

FORGET_DEAD_NOTIFICATIONS = """
DELETE FROM dead_letters USING replayed
WHERE object = 'notification' AND object_id = replayed.number::VARCHAR
"""

DUE_FETCHES = """
SELECT DISTINCT object, grant_id, object_id, folder_id, reason, epoch(not_before)::BIGINT AS not_before
FROM fetches
"""

FORGET_FETCHES = """
DELETE FROM fetches USING fetched
WHERE fetches.object = fetched.object
    AND fetches.grant_id IS NOT DISTINCT FROM fetched.grant_id
    AND fetches.object_id IS NOT DISTINCT FROM fetched.object_id
    AND fetches.folder_id IS NOT DISTINCT FROM fetched.folder_id
    AND fetches.reason = fetched.reason
    AND fetches.not_before = fetched.not_before
    AND fetches.asked_at <= fetched.asked_at
"""
"""What was read from the queue before the request was sent is answered by it. What was asked for later, or
for a reason that was not known then, is not.
"""

SWEPT_UNKNOWN = """
SELECT s.id, CASE WHEN NOT bool_or(s.folder_id IS NULL) THEN min(s.folder_id) END,
    bool_or(m.deleted_at IS NOT NULL)
FROM swept s LEFT JOIN all_messages m ON m.grant_id = $grant AND m.id = s.id
WHERE m.id IS NULL OR m.deleted_at < to_timestamp(s.at) OR json_type(m.field_times, '$.date') = 'NULL'
GROUP BY s.id
"""
"""Messages in the table `swept` that the lake does not hold, of which it was only told in what folder they
are, or that it holds as gone since before they were seen.

With a folder to ask for them in, and whether the lake holds them as gone.
"""

SWEPT_CHANGED = """
WITH told AS MATERIALIZED (FROM swept)
SELECT t.id, t.at, t.unread, t.starred, t.folders FROM told t WHERE t.id IN (
    SELECT s.id FROM told s
    JOIN all_messages m ON m.grant_id = $grant AND m.id = s.id AND m.deleted_at IS NULL
        AND ($before::BIGINT IS NULL OR m.observed_at < to_timestamp($before::BIGINT))
    WHERE (s.unread IS NOT NULL AND s.unread IS DISTINCT FROM m.unread)
        OR (s.starred IS NOT NULL AND s.starred IS DISTINCT FROM m.starred)
        OR (s.folders IS NOT NULL AND s.folders IS DISTINCT FROM m.folders)
)
"""
"""All that was seen of messages whose flags or whole list of folders differ from what the lake holds."""

SWEPT_ENTERED = """
SELECT s.id, s.folder_id, max(s.at)
FROM swept s LEFT JOIN all_messages m ON m.grant_id = $grant AND m.id = s.id AND m.deleted_at IS NULL
WHERE s.folder_id IS NOT NULL AND (m.id IS NULL OR NOT list_contains(m.folders, s.folder_id))
    AND ($before::BIGINT IS NULL OR m.observed_at < to_timestamp($before::BIGINT))
GROUP BY ALL
"""
"""Messages seen in a folder that the lake does not have them in."""

SWEPT_LEFT = """
SELECT f.message_id, f.folder_id FROM message_folders f
JOIN all_messages m ON m.grant_id = f.grant_id AND m.id = f.message_id AND m.deleted_at IS NULL
ANTI JOIN swept s
    ON s.id = f.message_id AND (s.folder_id = f.folder_id OR list_contains(s.folders, f.folder_id))
WHERE f.grant_id = $grant AND ($since::BIGINT IS NULL OR m.date >= to_timestamp($since::BIGINT))
    AND m.observed_at < to_timestamp($began)
"""
"""Messages of folders in which they were not seen."""

SWEPT_MISSING = """
WITH told AS MATERIALIZED (FROM swept)
SELECT m.id, f.folder_id, m.folders, m.date FROM all_messages m
LEFT JOIN (
    SELECT message_id, min(folder_id) AS folder_id FROM message_folders
    WHERE grant_id = $grant AND folder_id IN (SELECT folder_id FROM told)
    GROUP BY message_id
) f ON f.message_id = m.id
ANTI JOIN told s ON s.id = m.id
WHERE m.grant_id = $grant AND m.deleted_at IS NULL AND m.observed_at < to_timestamp($began)
    AND ($since::BIGINT IS NULL OR m.date >= to_timestamp($since::BIGINT))
"""
"""Messages the lake holds and the sweep did not show, with a folder to look in where folders were listed.

Their folders and date follow.
"""

WEBHOOKS = "SELECT * FROM webhooks"

GAPS = "SELECT * FROM gaps"

OPEN_GAPS_COUNT = "SELECT count(*) FROM gaps WHERE repaired_at IS NULL"

OPEN_GAPS = """
SELECT cause, grant_id, epoch(began_at)::BIGINT AS began_at, epoch(ended_at)::BIGINT AS ended_at
FROM gaps WHERE repaired_at IS NULL ORDER BY began_at
"""

EXPIRED_GRANTS = """
SELECT grant_id, epoch(occurred_at)::BIGINT, epoch(coalesce(connected_at, valid_at))::BIGINT FROM (
    SELECT grant_id, trigger, occurred_at,
        min(occurred_at) FILTER (trigger IN ('grant.updated', 'grant.created')) OVER (
            PARTITION BY grant_id ORDER BY occurred_at ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
        ) AS connected_at
    FROM notifications WHERE trigger LIKE 'grant.%' AND grant_id IS NOT NULL
) LEFT JOIN (
    SELECT id, observed_at AS valid_at FROM all_grants WHERE status = 'valid'
) ON id = grant_id AND valid_at > occurred_at
WHERE trigger = 'grant.expired'
"""
"""When each grant expired, and when it was connected again, or seen valid where that was not told."""

_NOT_RELISTED = """
SELECT 1 FROM stream_ledger l
WHERE l.grant_id = g.id AND l.stream IN ('contacts', 'calendars', 'events') AND l.state <> 'skipped'
    AND NOT list_contains(coalesce(g.streams_off, []), l.stream)
    AND (l.state <> 'complete' OR coalesce(l.pass_started < gaps.ended_at, true))
"""
"""What was listed of an account beside its mail, is wanted, and was not listed again since a gap ended."""

_CONCERNED = """
(gaps.grant_id IS NULL OR gaps.grant_id = g.id) AND coalesce(g.created_at < gaps.ended_at, true)
"""
"""A gap may lack something of a grant."""

MARK_REPAIRED_GAPS = f"""
UPDATE gaps SET repaired_at = now()
WHERE repaired_at IS NULL
AND (ended_at IS NOT NULL OR grant_id IN (SELECT id FROM all_grants WHERE deleted_at IS NOT NULL))
AND NOT EXISTS (
    SELECT 1 FROM grants g WHERE {_CONCERNED} AND (
        EXISTS ({_NOT_RELISTED})
        OR g.provider NOT IN ('virtual-calendar', 'zoom') AND NOT EXISTS (
            SELECT 1 FROM reconciliations r
            WHERE r.grant_id = g.id AND r.since IS NULL AND r.began_at >= gaps.ended_at
                AND NOT EXISTS (SELECT 1 FROM fetches f WHERE f.grant_id = g.id)
        )
    )
)
"""
"""A gap is repaired when every grant it concerns was listed whole since it ended, and nothing waits for it.

One that has expired keeps it open until it is connected again, or gone.
"""

GRANTS_TO_REPAIR = f"""
SELECT DISTINCT g.id FROM grants g
JOIN gaps ON {_CONCERNED}
WHERE g.status = 'valid' AND gaps.repaired_at IS NULL AND gaps.ended_at IS NOT NULL AND (
    EXISTS ({_NOT_RELISTED} AND NOT (l.state = 'failed' AND l.updated_at >= gaps.ended_at))
    OR g.provider NOT IN ('virtual-calendar', 'zoom') AND NOT EXISTS (
        SELECT 1 FROM reconciliations r
        WHERE r.grant_id = g.id AND r.since IS NULL AND r.began_at >= gaps.ended_at
    )
)
"""
"""Grants that can be listed and were not, whole, since a gap that concerns them ended.

A list beside the mail that was tried since and failed is left to the nightly mirroring.
"""

BEGUN_STREAMS = """
SELECT DISTINCT stream, grant_id FROM stream_ledger
SEMI JOIN wanted USING (grant_id)
WHERE stream IN ('contacts', 'calendars', 'events')
"""
"""Streams that were ever listed of the grants in the table `wanted`."""

FORGET_GAPS = """
DELETE FROM gaps USING changed
WHERE gaps.cause = changed.cause AND gaps.began_at = changed.began_at
    AND gaps.grant_id IS NOT DISTINCT FROM changed.grant_id
"""

GRANT_FOLDERS = "SELECT id FROM folders WHERE grant_id = ? ORDER BY id"

MAILBOX_STATES = "SELECT partition_key, state FROM mailboxes WHERE active AND grant_id = ?"

MAILBOX_KEYS = "SELECT partition_key FROM mailboxes WHERE active AND grant_id = ?"

NEWCOMER_GRANTS = """
SELECT g.id, g.provider, coalesce(g.streams_off, []) FROM grants g
SEMI JOIN notifications n ON n.grant_id = g.id AND n.trigger = 'grant.created'
ANTI JOIN stream_ledger l ON l.grant_id = g.id
WHERE g.status = 'valid'
"""
"""Grants connected while notifications arrived, of which nothing beside the mail was ever listed."""

NEWCOMERS = """
SELECT m.partition_key FROM mailboxes m
WHERE m.active AND m.state = 'registered' AND EXISTS (
    SELECT 1 FROM notifications n
    WHERE n.grant_id = m.grant_id
        AND (n.trigger = 'grant.created' OR (n.trigger = 'folder.created' AND n.object_id = m.folder_id))
)
"""
"""Mailboxes never listed whose grant or folder was made while notifications arrived."""
