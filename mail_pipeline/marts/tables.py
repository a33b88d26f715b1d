"""What each mart is: which of its rows a change touches, and what those rows are now.

The statements see, for each table `t` made before theirs:

- `t_new`: the rows touched, as they are now,
- `t_now`: the whole table as it will be after this refresh,
- `t_diff`: rows that leave it and rows that come into it,

and `changed` (grant_id, message_id), `chunk` (grant_id): the messages and the grants at work. `touched` names
rows by their key; `rows` says what they are, from `touched` and the tables `t_now`. So a table's rows are
always a function of other tables alone, and the way there makes no difference.
"""

from dataclasses import dataclass, field

from mail_pipeline.marts.marks import PATTERNS


@dataclass(frozen=True, slots=True)
class Mart:
    """One table: the key by which its rows are touched and made again, and the two statements."""

    name: str
    key: tuple[str, ...]
    touched: str = field(repr=False)
    rows: str = field(repr=False)
    parameters: tuple[str, ...] = ()
    """What `rows` takes of the definition's parameters."""


_BY_MESSAGE = ("grant_id", "message_id")
_CHANGED = "SELECT DISTINCT grant_id, message_id FROM changed"

_OWN_ADDRESSES = """
WITH known AS (
    SELECT grant_id, sender AS address, count(*) AS messages FROM message_facts
    SEMI JOIN chunk USING (grant_id)
    WHERE in_sent AND direction <> 'draft' AND sender <> '' GROUP BY ALL
    UNION ALL
    SELECT grant_id, sender, -count(*) FROM message_facts SEMI JOIN changed USING (grant_id, message_id)
    WHERE in_sent AND direction <> 'draft' AND sender <> '' GROUP BY ALL
), sent AS (
    SELECT grant_id, address FROM known GROUP BY ALL HAVING sum(messages) > 0
    UNION
    SELECT p.grant_id, p.address_canonical FROM message_participants p
    SEMI JOIN changed c ON c.grant_id = p.grant_id AND c.message_id = p.message_id
    SEMI JOIN (
        SELECT f.grant_id, f.message_id FROM message_folders f SEMI JOIN changed USING (grant_id, message_id)
        JOIN all_folders r ON r.grant_id = f.grant_id AND r.id = f.folder_id
        GROUP BY ALL HAVING bool_or(r.role = 'sent') AND NOT bool_or(coalesce(r.role = 'drafts', false))
    ) s ON s.grant_id = p.grant_id AND s.message_id = p.message_id
    WHERE p.role = 'from' AND p.position = 0 AND p.address_canonical <> ''
)
SELECT grant_id, address, min(source) AS source FROM (
    SELECT grant_id, address, source FROM accounts SEMI JOIN (FROM chunk WHERE rows > 0) USING (grant_id)
    UNION ALL SELECT grant_id, address, 'sent' FROM sent
) GROUP BY ALL
"""

_MESSAGE_FACTS = """
WITH roles AS (
    SELECT f.grant_id, f.message_id, bool_or(r.role = 'sent') AS in_sent,
    bool_or(r.role = 'drafts') AS in_drafts,
        bool_or(r.role = 'junk') AS in_junk
    FROM message_folders f SEMI JOIN touched USING (grant_id, message_id)
    JOIN all_folders r ON r.grant_id = f.grant_id AND r.id = f.folder_id
    GROUP BY ALL
), people AS (
    SELECT p.grant_id, p.message_id,
        any_value(p.address_canonical) FILTER (p.role = 'from' AND p.position = 0) AS sender,
        any_value(p.domain) FILTER (p.role = 'from' AND p.position = 0) AS sender_domain,
        bool_or(p.role = 'to' AND o.address IS NOT NULL) AS to_us,
        count(DISTINCT p.address_canonical) FILTER (p.role IN ('to', 'cc', 'bcc')) AS recipients
    FROM message_participants p SEMI JOIN touched USING (grant_id, message_id)
    LEFT JOIN own_addresses_now o ON o.grant_id = p.grant_id AND o.address = p.address_canonical
    GROUP BY ALL
)
SELECT m.grant_id, m.id AS message_id, m.thread_id, m.date, m.date AT TIME ZONE $time_zone AS local_at,
    CASE WHEN r.in_drafts THEN 'draft' WHEN r.in_sent OR own.address IS NOT NULL THEN 'sent'
    ELSE 'received' END
        AS direction,
    m.subject, p.sender, p.sender_domain, coalesce(p.to_us, false) AS to_us,
    coalesce(p.recipients, 0)::INTEGER AS recipients, coalesce(r.in_sent, false) AS in_sent,
    coalesce(r.in_junk, false) AS is_junk,
    coalesce(regexp_matches(lower(m.subject), $auto_reply_subject), false)
        OR coalesce(regexp_matches(p.sender, $auto_reply_sender), false) AS is_auto_reply,
    coalesce(regexp_matches(p.sender, $newsletter_sender), false)
        OR coalesce(list_has_any(m.folders, $newsletter_folders), false) AS is_newsletter,
    coalesce(regexp_matches(lower(m.subject), $forward_subject), false) AS is_forward,
    coalesce(m.body_bytes, 0) AS body_bytes, coalesce(m.attachment_count, 0) AS attachments,
    coalesce(m.attachment_bytes, 0) AS attachment_bytes
FROM messages m SEMI JOIN touched t ON t.grant_id = m.grant_id AND t.message_id = m.id
LEFT JOIN roles r ON r.grant_id = m.grant_id AND r.message_id = m.id
LEFT JOIN people p ON p.grant_id = m.grant_id AND p.message_id = m.id
LEFT JOIN own_addresses_now own ON own.grant_id = m.grant_id AND own.address = p.sender
"""

_CORRESPONDENCE = """
SELECT f.grant_id, f.message_id, f.thread_id, p.address_canonical AS address, any_value(p.domain) AS domain,
    max(nullif(trim(p.name), '')) AS name, f.direction, f.date, f.local_at, f.is_newsletter
FROM message_facts_new f
JOIN (FROM message_participants SEMI JOIN touched USING (grant_id, message_id)) p
    ON p.grant_id = f.grant_id AND p.message_id = f.message_id
ANTI JOIN own_addresses_now o ON o.grant_id = p.grant_id AND o.address = p.address_canonical
WHERE p.address_canonical <> '' AND f.date IS NOT NULL AND NOT f.is_junk
    AND CASE f.direction WHEN 'received' THEN p.role = 'from'
        WHEN 'sent' THEN p.role IN ('to', 'cc', 'bcc') ELSE false END
GROUP BY ALL
"""

_DAILY_VOLUME = """
SELECT grant_id, local_at::DATE AS day, hour(local_at)::INTEGER AS hour,
    count(*) FILTER (direction = 'received') AS received, count(*) FILTER (direction = 'sent') AS sent,
    count(*) FILTER (direction = 'received' AND is_newsletter) AS newsletters,
    sum(body_bytes + attachment_bytes)::BIGINT AS bytes
FROM message_facts_now
SEMI JOIN touched ON touched.grant_id = message_facts_now.grant_id AND touched.day = local_at::DATE
WHERE direction <> 'draft' AND NOT is_junk
GROUP BY ALL
"""

_CORRESPONDENTS = """
SELECT grant_id, address, any_value(domain) AS domain,
    arg_max(name, (date, message_id)) FILTER (name IS NOT NULL) AS name,
    count(*) FILTER (direction = 'received') AS received, count(*) FILTER (direction = 'sent') AS sent,
    count(*) FILTER (direction = 'received' AND is_newsletter) AS newsletters,
    arg_min(local_at, date)::DATE AS met_on, min(date) AS first_at, max(date) AS last_at,
    max(date) FILTER (direction = 'received') AS last_received_at,
    max(date) FILTER (direction = 'sent') AS last_sent_at
FROM correspondence_now SEMI JOIN touched USING (grant_id, address)
GROUP BY grant_id, address
"""

_SAID = """
said AS (
    SELECT grant_id, thread_id, message_id, date, sender, is_newsletter, to_us, direction = 'sent' AS ours
    FROM message_facts_now SEMI JOIN touched USING (grant_id, thread_id)
    WHERE date IS NOT NULL AND direction <> 'draft' AND NOT is_junk AND NOT is_auto_reply AND NOT is_forward
), turns AS (
    FROM said WINDOW thread AS (PARTITION BY grant_id, thread_id ORDER BY date, message_id)
    QUALIFY ours IS DISTINCT FROM lag(ours) OVER thread
)
"""
"""What was said in each thread, and of that the first message of each run of one side."""

_REPLIES = f"""
WITH {_SAID}, answers AS (
    SELECT grant_id, thread_id, ours, message_id AS reply_id, date AS replied_at,
        lag(message_id) OVER thread AS message_id, lag(date) OVER thread AS message_at,
        CASE WHEN ours THEN lag(sender) OVER thread ELSE sender END AS address
    FROM turns WINDOW thread AS (PARTITION BY grant_id, thread_id ORDER BY date, message_id)
), timed AS (
    SELECT *, message_at AT TIME ZONE $time_zone AS asked, replied_at AT TIME ZONE $time_zone AS answered
    FROM answers WHERE message_id IS NOT NULL
)
SELECT grant_id, thread_id, if(ours, 'us', 'them') AS answered_by,
    row_number() OVER (PARTITION BY grant_id, thread_id, ours ORDER BY replied_at, reply_id) = 1 AS is_first,
    address, message_id, message_at, reply_id, replied_at,
    (epoch(replied_at) - epoch(message_at))::BIGINT AS seconds,
    business_clock(answered, $opens, $closes, $days_before) - business_clock(asked, $opens, $closes,
    $days_before)
        AS business_seconds
FROM timed
"""

BUSINESS_CLOCK = """
CREATE OR REPLACE TEMP MACRO business_clock(moment, opens, closes, days_before) AS (
    (date_diff('day', DATE '1970-01-05', moment::DATE) // 7 * days_before[8]
        + days_before[isodow(moment)]) * (closes - opens)
    + (days_before[isodow(moment) + 1] - days_before[isodow(moment)])
        * greatest(least((epoch(moment) - epoch(moment::DATE))::BIGINT, closes) - opens, 0)
)::BIGINT
"""
"""Business seconds from Monday 1970-01-05 until a moment of the local clock, so that two can be subtracted.

`days_before` counts the working days of a week before its first, second, … and after its last day.
"""

_RESPONSE_TIMES = """
SELECT grant_id, answered_by, count(*) AS replies,
    quantile_cont(seconds, 0.5) AS median_seconds, quantile_cont(seconds, 0.9) AS p90_seconds,
    quantile_cont(business_seconds, 0.5) AS median_business_seconds,
    quantile_cont(business_seconds, 0.9) AS p90_business_seconds,
    count(*) FILTER (is_first) AS first_replies,
    quantile_cont(seconds, 0.5) FILTER (is_first) AS first_median_seconds,
    quantile_cont(seconds, 0.9) FILTER (is_first) AS first_p90_seconds
FROM replies_now SEMI JOIN touched USING (grant_id)
GROUP BY ALL
"""

_THREAD_STATS = f"""
WITH {_SAID}, waiting AS (
    SELECT grant_id, thread_id, arg_max(date, (date, message_id)) AS since,
        arg_max(ours, (date, message_id)) AS ours
    FROM turns GROUP BY ALL
), last_word AS (
    SELECT grant_id, thread_id, arg_max(to_us, (date, message_id)) AS to_us,
        arg_max(is_newsletter, (date, message_id)) AS is_newsletter
    FROM said GROUP BY ALL
), counted AS (
    SELECT grant_id, thread_id, arg_min_null(subject, (date, message_id)) AS subject, count(*) AS messages,
        count(*) FILTER (direction = 'received') AS received, count(*) FILTER (direction = 'sent') AS sent,
        count(DISTINCT sender) AS senders, min(date) AS first_at, max(date) AS last_at,
        bool_or(direction = 'sent' AND recipients > to_us::INTEGER) AS asked,
        sum(body_bytes + attachment_bytes)::BIGINT AS bytes
    FROM message_facts_now SEMI JOIN touched USING (grant_id, thread_id)
    WHERE date IS NOT NULL AND direction <> 'draft' AND NOT is_junk
    GROUP BY ALL
), met AS (
    SELECT grant_id, thread_id, arg_max(address, (date, message_id, address)) AS correspondent
    FROM correspondence_now SEMI JOIN touched USING (grant_id, thread_id)
    GROUP BY ALL
), judged AS (
    SELECT *, CASE WHEN w.ours AND c.asked THEN 'them'
        WHEN NOT w.ours AND l.to_us AND NOT l.is_newsletter THEN 'us' END AS awaiting
    FROM counted c LEFT JOIN waiting w USING (grant_id, thread_id)
    LEFT JOIN last_word l USING (grant_id, thread_id) LEFT JOIN met USING (grant_id, thread_id)
)
SELECT grant_id, thread_id, subject, messages, received, sent, senders, first_at, last_at, awaiting,
    CASE WHEN awaiting IS NOT NULL THEN since END AS waiting_since, correspondent, bytes
FROM judged
"""

_STORAGE_BY_SENDER = """
SELECT grant_id, sender, any_value(sender_domain) AS domain, count(*) AS messages,
    sum(body_bytes)::BIGINT AS body_bytes, sum(attachments)::BIGINT AS attachments,
    sum(attachment_bytes)::BIGINT AS attachment_bytes, sum(body_bytes + attachment_bytes)::BIGINT AS bytes
FROM message_facts_now SEMI JOIN touched USING (grant_id, sender)
GROUP BY grant_id, sender
"""

_ATTACHMENT_TYPES = """
SELECT grant_id, lower(trim(split_part(coalesce(content_type, ''), ';', 1))) AS content_type,
    count(*) AS files,
    count(*) FILTER (is_inline) AS inline_files, count(DISTINCT message_id) AS messages,
    coalesce(sum(size), 0)::BIGINT AS bytes, max(size) AS largest
FROM attachments SEMI JOIN touched USING (grant_id)
GROUP BY ALL
"""

OWN_ADDRESSES = Mart(
    "own_addresses",
    ("grant_id",),
    touched="SELECT grant_id FROM chunk",
    rows=_OWN_ADDRESSES,
)
"""Made first: where they change, every message of the grant may have another direction."""

MARTS = (
    Mart(
        "message_facts",
        _BY_MESSAGE,
        touched=_CHANGED,
        rows=_MESSAGE_FACTS,
        parameters=("time_zone", *PATTERNS),
    ),
    Mart("correspondence", _BY_MESSAGE, touched=_CHANGED, rows=_CORRESPONDENCE),
    Mart(
        "daily_volume",
        ("grant_id", "day"),
        touched="SELECT DISTINCT grant_id, local_at::DATE AS day FROM message_facts_diff "
        "WHERE date IS NOT NULL",
        rows=_DAILY_VOLUME,
    ),
    Mart(
        "correspondents",
        ("grant_id", "address"),
        touched="SELECT DISTINCT grant_id, address FROM correspondence_diff",
        rows=_CORRESPONDENTS,
    ),
    Mart(
        "replies",
        ("grant_id", "thread_id"),
        touched="SELECT DISTINCT grant_id, thread_id FROM message_facts_diff WHERE thread_id IS NOT NULL",
        rows=_REPLIES,
        parameters=("time_zone", "opens", "closes", "days_before"),
    ),
    Mart(
        "response_times",
        ("grant_id",),
        touched="SELECT DISTINCT grant_id FROM replies_diff",
        rows=_RESPONSE_TIMES,
    ),
    Mart(
        "thread_stats",
        ("grant_id", "thread_id"),
        touched="SELECT grant_id, thread_id FROM message_facts_diff WHERE thread_id IS NOT NULL "
        "UNION SELECT grant_id, thread_id FROM correspondence_diff WHERE thread_id IS NOT NULL",
        rows=_THREAD_STATS,
    ),
    Mart(
        "storage_by_sender",
        ("grant_id", "sender"),
        touched="SELECT DISTINCT grant_id, sender FROM message_facts_diff WHERE sender IS NOT NULL",
        rows=_STORAGE_BY_SENDER,
    ),
    Mart(
        "attachment_types",
        ("grant_id",),
        touched="SELECT DISTINCT grant_id FROM changed",
        rows=_ATTACHMENT_TYPES,
    ),
)
"""In the order in which they are made."""
