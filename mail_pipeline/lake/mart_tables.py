"""The tables made from mail for analysts: each message's facts, and what they add up to.

All of them are computed from the tables of mail and can be made again from nothing. Mail in drafts,
in junk and
without a date is in `message_facts` and in what counts bytes, and in nothing else.
"""

from mail_pipeline.lake.table import GRANT_ID, MESSAGE_ID, Table, columns

_ADDRESS = ("address", "VARCHAR", "Canonical address of the other side.")
_DOMAIN = ("domain", "VARCHAR", "Part of the address after the @.")
_THREAD_ID = ("thread_id", "VARCHAR", "The conversation, as in `messages.thread_id`.")
_DATE = ("date", "TIMESTAMPTZ", "As in `messages.date`.")
_LOCAL_AT = ("local_at", "TIMESTAMP", "The same moment as a clock shows it in MAIL_PIPELINE_TIME_ZONE.")
_BYTES = ("bytes", "BIGINT", "Bodies and attachments together.")

FACTS = (
    Table(
        "own_addresses",
        "The addresses that are the account itself: mail from one of them was sent, not received.",
        columns(
            GRANT_ID,
            ("address", "VARCHAR", "Canonical address."),
            (
                "source",
                "VARCHAR",
                "grant: its e-mail address; alias: `email_aliases` of the grant; sent: mail in a folder of "
                "the role sent comes from it.",
            ),
        ),
    ),
    Table(
        "message_facts",
        "What analysts ask of a message, one row for each that exists: direction, sender, marks, sizes.",
        columns(
            GRANT_ID,
            MESSAGE_ID,
            _THREAD_ID,
            _DATE,
            _LOCAL_AT,
            ("direction", "VARCHAR", "sent, received, or draft for what lies in a folder of drafts."),
            ("subject", "VARCHAR", "As in `messages.subject`."),
            ("sender", "VARCHAR", "Canonical address of the first sender."),
            ("sender_domain", "VARCHAR", "Part of the sender after the @."),
            ("to_us", "BOOLEAN", "One of the account's own addresses is among the recipients (to)."),
            ("recipients", "INTEGER", "Addresses in to, cc and bcc, each once."),
            ("in_sent", "BOOLEAN", "It lies in a folder of the role sent."),
            ("is_junk", "BOOLEAN", "It lies in a folder of the role junk."),
            (
                "is_auto_reply",
                "BOOLEAN",
                "A machine's answer or a bounce: told by the subject (out of office and the like, in ten "
                "languages) or a sender such as mailer-daemon; headers are not in the list API.",
            ),
            (
                "is_newsletter",
                "BOOLEAN",
                "Sent to many: told by a sender such as no-reply or newsletter, or by Gmail's categories "
                "promotions, social, updates and forums; List-Unsubscribe is not in the list API.",
            ),
            (
                "is_forward",
                "BOOLEAN",
                "Forwarded: told by a subject that begins with Fwd:, WG: and the like.",
            ),
            ("body_bytes", "BIGINT", "Size of the body in UTF-8; 0 while none has been seen."),
            ("attachments", "INTEGER", "Number of attachments, inline ones included."),
            ("attachment_bytes", "BIGINT", "Their sizes added up, approximate."),
        ),
        sorted_by=("grant_id", "date"),
    ),
    Table(
        "correspondence",
        "Who wrote to whom: one row for each message and each address of the other side.",
        columns(
            GRANT_ID,
            MESSAGE_ID,
            _THREAD_ID,
            _ADDRESS,
            _DOMAIN,
            ("name", "VARCHAR", "Display name in this message."),
            ("direction", "VARCHAR", "received from this address, or sent to it."),
            _DATE,
            _LOCAL_AT,
            ("is_newsletter", "BOOLEAN", "As in `message_facts`."),
        ),
        sorted_by=("address", "date"),
    ),
)
"""One row a message, and one row a message and person: what the marts are made from."""

_REPLY_COLUMNS = columns(
    GRANT_ID,
    _THREAD_ID,
    ("answered_by", "VARCHAR", "us where the account answered, them where it was answered."),
    ("is_first", "BOOLEAN", "The first answer of that side in the thread."),
    ("address", "VARCHAR", "Canonical address of the one who wrote or who answered."),
    ("message_id", "VARCHAR", "The message answered: the first of its side's run, which starts the clock."),
    ("message_at", "TIMESTAMPTZ", "When it came."),
    ("reply_id", "VARCHAR", "The answer: the first message of the other side after it."),
    ("replied_at", "TIMESTAMPTZ", "When that came."),
    ("seconds", "BIGINT", "Between the two."),
    (
        "business_seconds",
        "BIGINT",
        "Of these, seconds within MAIL_PIPELINE_BUSINESS_HOURS, Monday to Friday 9 to 17 by default.",
    ),
)

MARTS = (
    Table(
        "daily_volume",
        "Mail sent and received by account, day and hour.",
        columns(
            GRANT_ID,
            ("day", "DATE", "Day in MAIL_PIPELINE_TIME_ZONE."),
            ("hour", "INTEGER", "Hour of that day, 0 to 23."),
            ("received", "BIGINT", "Messages received."),
            ("sent", "BIGINT", "Messages sent."),
            ("newsletters", "BIGINT", "Of those received, newsletters."),
            _BYTES,
        ),
        sorted_by=("grant_id", "day"),
    ),
    Table(
        "correspondents",
        "Everybody an account has exchanged mail with.",
        columns(
            GRANT_ID,
            _ADDRESS,
            _DOMAIN,
            ("name", "VARCHAR", "Newest display name that is not empty."),
            ("received", "BIGINT", "Messages from this address."),
            ("sent", "BIGINT", "Messages to this address."),
            ("newsletters", "BIGINT", "Of those received, newsletters."),
            ("met_on", "DATE", "Day of the first message in either direction, in MAIL_PIPELINE_TIME_ZONE."),
            ("first_at", "TIMESTAMPTZ", "First message in either direction."),
            ("last_at", "TIMESTAMPTZ", "Last message in either direction."),
            ("last_received_at", "TIMESTAMPTZ", "Last message from this address."),
            ("last_sent_at", "TIMESTAMPTZ", "Last message to this address."),
        ),
        sorted_by=("grant_id", "address"),
    ),
    Table(
        "replies",
        "Every answer and what it answered; forwards and automatic replies do not count.",
        _REPLY_COLUMNS,
        sorted_by=("grant_id", "message_at"),
    ),
    Table(
        "response_times",
        "How long an account takes to answer, and how long it waits for answers; only answered mail counts.",
        columns(
            GRANT_ID,
            ("answered_by", "VARCHAR", "us where the account answered, them where it was answered."),
            ("replies", "BIGINT", "How many answers there were."),
            ("median_seconds", "DOUBLE", "Half of all answers took no longer."),
            ("p90_seconds", "DOUBLE", "Nine of ten answers took no longer."),
            ("median_business_seconds", "DOUBLE", "The median in business hours."),
            ("p90_business_seconds", "DOUBLE", "The nine of ten in business hours."),
            ("first_replies", "BIGINT", "Answers that are the first of their thread."),
            ("first_median_seconds", "DOUBLE", "The median of those."),
            ("first_p90_seconds", "DOUBLE", "The nine of ten of those."),
        ),
    ),
    Table(
        "thread_stats",
        "Conversations: how long, between how many, and who is waiting for whom.",
        columns(
            GRANT_ID,
            _THREAD_ID,
            ("subject", "VARCHAR", "Subject of its first message."),
            ("messages", "BIGINT", "Messages in it."),
            ("received", "BIGINT", "Of these, received."),
            ("sent", "BIGINT", "Of these, sent."),
            ("senders", "BIGINT", "Different senders."),
            ("first_at", "TIMESTAMPTZ", "Date of its first message."),
            ("last_at", "TIMESTAMPTZ", "Date of its last message."),
            (
                "awaiting",
                "VARCHAR",
                "us where the last word is theirs and addressed to us, them where it is ours; null for "
                "newsletters, and where nobody owes an answer. Automatic replies and forwards are no words.",
            ),
            ("waiting_since", "TIMESTAMPTZ", "First message of the run that waits; null where nobody waits."),
            ("correspondent", "VARCHAR", "The other side of its last message: the sender, or a recipient."),
            _BYTES,
        ),
        sorted_by=("grant_id", "last_at"),
    ),
    Table(
        "storage_by_sender",
        "What takes the room: bytes by sender, drafts and junk included.",
        columns(
            GRANT_ID,
            ("sender", "VARCHAR", "Canonical address of the sender."),
            _DOMAIN,
            ("messages", "BIGINT", "Messages from it."),
            ("body_bytes", "BIGINT", "Their bodies."),
            ("attachments", "BIGINT", "Their attachments."),
            ("attachment_bytes", "BIGINT", "Sizes of these, approximate."),
            _BYTES,
        ),
        sorted_by=("grant_id", "sender"),
    ),
    Table(
        "attachment_types",
        "Attachments by type.",
        columns(
            GRANT_ID,
            ("content_type", "VARCHAR", "Content type in lower case, without parameters; empty for none."),
            ("files", "BIGINT", "Attachments of it, inline ones included."),
            ("inline_files", "BIGINT", "Of these, shown inside the body."),
            ("messages", "BIGINT", "Messages that have one."),
            _BYTES,
            ("largest", "BIGINT", "Bytes of the largest."),
        ),
    ),
)
"""What the facts add up to."""

TEXTS = (
    Table(
        "message_texts",
        "Bodies as plain text, what was quoted apart.",
        columns(
            GRANT_ID,
            MESSAGE_ID,
            ("text", "VARCHAR", "What the sender wrote, without what is quoted below it."),
            ("quoted", "VARCHAR", "The quoted tail: earlier messages; null where there is none."),
            ("converter", "VARCHAR", "Library and version, and version of our rules, that made it."),
            ("body_hash", "UBIGINT", "`messages.body_hash` of the body it was made from."),
        ),
        sorted_by=("grant_id", "message_id"),
    ),
)

BOOKS = (
    Table(
        "mart_watermarks",
        "How far the marts have come, by account; all of an account move together.",
        columns(
            GRANT_ID,
            ("snapshot_id", "BIGINT", "Snapshot of the lake up to which mail is counted."),
            (
                "definition",
                "VARCHAR",
                "Version of the rules, and settings they depend on; else all is redone.",
            ),
            ("roles", "VARCHAR", "Digest of the account's folders that have a role."),
            ("refreshed_at", "TIMESTAMPTZ", "When that was, before anything was read."),
        ),
    ),
)

MART_TABLES = (*FACTS, *MARTS, *TEXTS, *BOOKS)
"""All stored tables made from mail, in the order in which they are made."""

_WAITING = columns(
    GRANT_ID,
    _THREAD_ID,
    ("subject", "VARCHAR", "Subject of its first message."),
    ("correspondent", "VARCHAR", "The other side of its last message."),
    ("waiting_since", "TIMESTAMPTZ", "First message of the run that waits."),
    ("days", "BIGINT", "Whole days since then."),
    ("messages", "BIGINT", "Messages in the thread."),
)


_AWAITING = """
SELECT grant_id, thread_id, subject, correspondent, waiting_since,
    date_sub('day', waiting_since, now()) AS days, messages
FROM thread_stats WHERE awaiting = '{side}'
"""


def _waiting(name: str, side: str, description: str) -> Table:
    return Table(
        name,
        description,
        _WAITING,
        select=_AWAITING.format(side=side),
    )


MART_VIEWS = (
    Table(
        "weekday_hours",
        "When mail comes and goes: weekday by hour.",
        columns(
            GRANT_ID,
            ("weekday", "BIGINT", "1 for Monday to 7 for Sunday."),
            ("hour", "INTEGER", "Hour of the day, 0 to 23, in MAIL_PIPELINE_TIME_ZONE."),
            ("received", "BIGINT", "Messages received."),
            ("sent", "BIGINT", "Messages sent."),
        ),
        select="SELECT grant_id, isodow(day) AS weekday, hour, sum(received)::BIGINT AS received, "
        "sum(sent)::BIGINT AS sent FROM daily_volume GROUP BY ALL",
    ),
    Table(
        "new_correspondents",
        "How many people an account first exchanged mail with, by month.",
        columns(
            GRANT_ID,
            ("month", "DATE", "First day of the month, in MAIL_PIPELINE_TIME_ZONE."),
            ("people", "BIGINT", "Addresses met that month that wrote more than newsletters."),
            ("newsletters", "BIGINT", "Addresses met that month that wrote only newsletters."),
        ),
        select="SELECT grant_id, date_trunc('month', met_on)::DATE AS month, "
        "count(*) FILTER (newsletters < received OR sent > 0) AS people, "
        "count(*) FILTER (newsletters = received AND sent = 0) AS newsletters "
        "FROM correspondents GROUP BY ALL",
    ),
    _waiting("awaiting_us", "us", "Threads in which somebody waits for an answer of the account."),
    _waiting("awaiting_them", "them", "Threads in which the account waits for an answer."),
)
"""Short ways to ask the marts."""
