"""The questions behind what people are told: status, plan, checks and overview."""

from mail_pipeline.lake.queries import PACE

MESSAGE_COPIES = """
SELECT coalesce(sum(copies), 0)::BIGINT, count(*) FILTER (copies > 1)
FROM (SELECT count(*) AS copies FROM all_messages GROUP BY grant_id, id)
"""
"""Rows of messages, and how many messages have more than one."""

INCOMPLETE_MAILBOXES = """
SELECT partition_key, state, coalesce(reason, ''), coalesce(next_step, '')
FROM mailboxes WHERE active AND state <> 'complete' ORDER BY state, partition_key
"""

RECORD_COPIES = """
SELECT coalesce(sum(copies), 0)::BIGINT, count(*) FILTER (copies > 1) FROM (
    SELECT count(*) AS copies FROM all_contacts GROUP BY grant_id, id
    UNION ALL SELECT count(*) FROM all_calendars GROUP BY grant_id, id
    UNION ALL SELECT count(*) FROM all_events GROUP BY grant_id, calendar_id, id
)
"""
"""Rows of contacts, calendars and events, and how many of these have more than one."""

_WANTED_LISTS = """
FROM stream_ledger l JOIN grants g ON g.id = l.grant_id
WHERE l.state <> 'skipped'
    AND NOT list_contains(coalesce(g.streams_off, []), replace(l.stream, 'provider_threads', 'threads'))
"""
"""Lists beside the mail that are offered and that the configuration file does not leave out."""

INCOMPLETE_STREAMS = f"""
SELECT l.stream, l.grant_id, l.state, coalesce(l.reason, ''), coalesce(l.next_step, '')
{_WANTED_LISTS} AND l.state <> 'complete' AND l.stream <> 'provider_threads'
ORDER BY l.state, l.stream, l.grant_id
"""
"""Provider's threads are listed on request only, so that nothing goes on with them by itself."""

OVERVIEW = """
SELECT
    (SELECT count(*) FROM messages) AS messages,
    (SELECT count(*) FROM mailboxes WHERE active) AS mailboxes,
    (SELECT count(*) FROM mailboxes WHERE active AND state = 'complete') AS mailboxes_complete,
    (SELECT count(*) FROM mailboxes WHERE active AND state IN ('paused', 'failed')) AS mailboxes_red,
    (SELECT count(*) FROM grants) AS grants,
    (SELECT count(*) FROM contacts) AS contacts,
    (SELECT count(*) FROM events) AS events,
    (SELECT count(*) FROM notifications WHERE applied_at > now() - INTERVAL 1 DAY) AS notifications_in_a_day,
    (SELECT count(*) FROM gaps WHERE repaired_at IS NULL) AS open_gaps,
    (SELECT count(*) FROM dead_letters) AS dead_letters,
    (SELECT epoch(now() - max(observed_at))::BIGINT FROM messages) AS seconds_since_newest_word
"""
"""The whole in one row of numbers."""

MESSAGES_PER_MONTH = """
WITH months AS (
    SELECT unnest(range(
        date_trunc('month', now() - INTERVAL 23 MONTHS), now(), INTERVAL 1 MONTH
    )) AS month
)
SELECT strftime(month, '%Y-%m'), count(m.id)
FROM months LEFT JOIN messages m ON date_trunc('month', m.date) = month
GROUP BY month ORDER BY month
"""

MESSAGES_PER_PROVIDER = """
SELECT g.provider, count(*) FROM messages m JOIN grants g ON g.id = m.grant_id
GROUP BY g.provider ORDER BY count(*) DESC
"""

MAILBOXES_PER_STATE = (
    "SELECT state, count(*) FROM mailboxes WHERE active GROUP BY state ORDER BY count(*) DESC"
)

DEAD_LETTER_COUNTS = "SELECT count(*), count(*) FILTER (NOT stored) FROM dead_letters"
"""Records that could not be read, and those of them that were not stored after a repair either."""

FETCHES_COUNT = "SELECT count(*) FROM fetches"

UNCOVERED_MAILBOXES = """
SELECT count(*), count(*) FILTER (NOT subscribed) FROM mailboxes WHERE active AND state <> 'registered'
"""
"""Mailboxes that have been begun, and those of them without a webhook before their first page."""

STATUS_MAILBOXES = """
WITH recent AS (
    SELECT partition_key, pass,
        (max(ids_seen) - min(ids_seen)) / epoch(max(updated_at) - min(updated_at)) AS rate
    FROM checkpoints WHERE state = 'listing' AND updated_at > now() - INTERVAL 10 MINUTES
    GROUP BY ALL HAVING max(updated_at) > min(updated_at)
)
SELECT m.partition_key, m.grant_id, m.provider, m.folder_name, m.state, m.messages, m.ids_seen, m.reported,
    m.oldest, m.pages, m.dead_letters, m.reason, m.next_step, m.until, m.last_fetch,
    m.state = 'listing' AND m.updated_at > now() - INTERVAL 2 MINUTES AS running,
    CASE WHEN running THEN r.rate END AS rate,
    CASE WHEN running AND r.rate > 0 THEN greatest(m.reported - m.ids_seen, 0) / r.rate END AS eta_seconds
FROM mailboxes m LEFT JOIN recent r ON r.partition_key = m.partition_key AND r.pass = m.pass
WHERE m.active
"""
"""Every mailbox, with the rate of the last ten minutes' checkpoints, where there are two of one pass.

A mailbox may wait a minute for its quota between two pages; what has not moved for two is not at work.
"""

STATUS_COUNTS = """
SELECT (SELECT count(*) FROM messages), (SELECT max(observed_at) FROM grants),
    (SELECT count(*) FROM dead_letters), (SELECT count(*) FROM notifications),
    (SELECT max(applied_at) FROM notifications), (SELECT count(*) FROM gaps WHERE repaired_at IS NULL)
"""
"""Messages, when the grants were listed, dead letters, notifications, the last one's time, open gaps."""

ACTIVE_PARTITION_KEYS = "SELECT partition_key, grant_id FROM mailboxes WHERE active"

REQUESTS_AND_MESSAGES = """
SELECT (SELECT coalesce(sum(requests), 0)::BIGINT FROM mailboxes), (SELECT count(*) FROM messages)
"""

PLANNED_MAILBOXES = f"""{PACE}
SELECT partition_key, grant_id, provider, folder_name, state, expected, seconds_per_page, ids_seen, pages,
    quota_units, epoch(last_fetch - first_fetch)::BIGINT AS seconds,
    planned_messages, planned_pages, planned_units, planned_seconds
FROM ledger LEFT JOIN pace USING (provider)
WHERE active AND ($grant::VARCHAR IS NULL OR grant_id = $grant)
"""
"""What is expected of each mailbox, what was when its list began, and what it took so far."""

THREADS_TO_LIST = (
    "SELECT grant_id, provider, count(*) FROM threads t JOIN grants g ON g.id = t.grant_id GROUP BY ALL"
)

STATUS_STREAMS = """
SELECT stream, state, count(DISTINCT grant_id) AS grants, sum(records)::BIGINT AS records,
    any_value(grant_id) AS grant_id, any_value(reason) AS reason, any_value(next_step) AS next_step
FROM stream_ledger GROUP BY ALL ORDER BY stream, state
"""

FRESHNESS = f"""
WITH swept AS (
    SELECT grant_id, max(began_at) AS at FROM reconciliations WHERE since IS NULL GROUP BY grant_id
), told AS (
    SELECT max(received_at) AS at FROM notifications
), mail AS (
    SELECT m.grant_id, m.state, m.messages, greatest(
        m.last_fetch,
        CASE WHEN m.state = 'complete' THEN swept.at END,
        CASE WHEN m.state = 'complete' AND m.subscribed THEN told.at END
    ) AS word
    FROM mailboxes m CROSS JOIN told LEFT JOIN swept USING (grant_id) WHERE m.active
), written AS (
    SELECT grant_id, max(snapshot_id) AS newest FROM all_messages GROUP BY grant_id
), counted AS (
    SELECT CASE WHEN written.newest <= w.snapshot_id THEN now() ELSE w.refreshed_at END AS counted_at
    FROM (SELECT DISTINCT grant_id FROM mail WHERE messages > 0)
    LEFT JOIN mart_watermarks w USING (grant_id) LEFT JOIN written USING (grant_id)
), lists AS (
    SELECT l.state {_WANTED_LISTS}
)
SELECT (SELECT min(word) FROM mail), (SELECT count(*) FROM mail),
    (SELECT count(*) FROM mail WHERE state = 'complete'),
    (SELECT count(*) FROM gaps WHERE repaired_at IS NULL),
    (SELECT count(*) FROM lists), (SELECT count(*) FROM lists WHERE state = 'complete'),
    (SELECT CASE WHEN count(*) = count(counted_at) THEN min(counted_at) END FROM counted)
"""
"""The newest word on the stalest mailbox; mailboxes, complete ones; open gaps; lists, complete ones.

At last up to when the marts have counted every account that has mail; null where one was never counted. One
of which nothing was written since is counted up to now.
"""
