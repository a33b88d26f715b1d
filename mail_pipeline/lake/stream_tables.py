"""The tables of what an account has beside its mail: contacts, calendars, events, and threads.

Each keeps, beside the columns people query, the whole record as last known and when each field of it was
seen; a view of the same name without `all_` shows what exists.
"""

from mail_pipeline.lake.table import GRANT_ID, OBSERVED_AT, Column, Table, columns

_RECORD = ("record", "JSON", "The whole object as last known, fields without a column too.")

RECORD_STATE = columns(
    _RECORD,
    OBSERVED_AT,
    ("field_times", "JSON", "Unix seconds of fields that are older than observed_at."),
    ("deleted_at", "TIMESTAMPTZ", "When it was found to be gone; null while it exists."),
)
"""What every table of records ends with."""

_CANONICAL = ("address_canonical", "VARCHAR", "Address in canonical form, to group by.")
_DOMAIN = ("domain", "VARCHAR", "Part after the @, in lower case.")
_CALENDAR_ID = ("calendar_id", "VARCHAR", "The calendar, as in `calendars.id`.")

_CONTACT_COLUMNS = columns(
    GRANT_ID,
    ("id", "VARCHAR", "Contact id of the API; unique within the grant."),
    ("source", "VARCHAR", "address_book, inbox (people written with) or domain (the company's)."),
    (
        "display_name",
        "VARCHAR",
        "Given, middle and last name; without one the company's or nickname.",
    ),
    ("given_name", "VARCHAR", "First name, as given."),
    ("middle_name", "VARCHAR", "Name between the first and the family name."),
    ("surname", "VARCHAR", "Family name, as given."),
    ("suffix", "VARCHAR", "Such as Jr. or PhD."),
    ("nickname", "VARCHAR", "What friends call them."),
    ("company_name", "VARCHAR", "Company they work for."),
    ("job_title", "VARCHAR", "Their job title."),
    ("manager_name", "VARCHAR", "Name of their manager."),
    ("office_location", "VARCHAR", "Where their office is."),
    ("birthday", "VARCHAR", "Birthday as given, an ISO date; some leave out the year."),
    ("notes", "VARCHAR", "Notes the owner took."),
    ("picture_url", "VARCHAR", "Address of the picture; never its bytes."),
    ("groups", "VARCHAR[]", "Ids of the contact groups it belongs to."),
    ("updated_at", "TIMESTAMPTZ", "When the provider says it was changed last."),
)
_CALENDAR_COLUMNS = columns(
    GRANT_ID,
    ("id", "VARCHAR", "Calendar id of the API; unique within the grant."),
    ("name", "VARCHAR", "Name people see."),
    ("description", "VARCHAR", "What it is for, as its owner wrote."),
    ("location", "VARCHAR", "Where it is, as written."),
    ("timezone", "VARCHAR", "IANA time zone, where the provider tells."),
    ("hex_color", "VARCHAR", "Its colour."),
    ("is_primary", "BOOLEAN", "The account's main calendar; iCloud has none."),
    ("is_owned_by_user", "BOOLEAN", "Owned by the account, not only shared with it."),
    ("read_only", "BOOLEAN", "The account may not change it."),
    ("owner_email", "VARCHAR", "Owner's address (Microsoft)."),
)
_EVENT_COLUMNS = columns(
    GRANT_ID,
    _CALENDAR_ID,
    (
        "id",
        "VARCHAR",
        "Event id of the API; unique within the calendar: Google repeats ids.",
    ),
    ("title", "VARCHAR", "Title people see."),
    ("description", "VARCHAR", "Description, maybe HTML."),
    ("location", "VARCHAR", "Where it takes place, as written."),
    ("status", "VARCHAR", "confirmed, tentative or cancelled."),
    ("visibility", "VARCHAR", "default, public, private or confidential."),
    ("busy", "BOOLEAN", "Blocks the time."),
    ("read_only", "BOOLEAN", "The account may not change it."),
    ("all_day", "BOOLEAN", "Given as dates, without times."),
    ("starts_at", "TIMESTAMPTZ", "Start; midnight UTC of the first day for all-day events."),
    ("ends_at", "TIMESTAMPTZ", "End; midnight UTC of the day the API gives for all-day events."),
    ("timezone", "VARCHAR", "IANA time zone of the start."),
    ("organizer_name", "VARCHAR", "Organizer's name."),
    ("organizer_address", "VARCHAR", "Organizer's address as given."),
    ("ical_uid", "VARCHAR", "Id shared by all copies of the event, across accounts."),
    ("master_event_id", "VARCHAR", "The recurring event this is an occurrence of."),
    ("original_starts_at", "TIMESTAMPTZ", "When an occurrence was to start before it was moved."),
    ("recurrence", "VARCHAR[]", "RRULE and EXDATE lines of a recurring event."),
    ("conferencing_provider", "VARCHAR", "Such as Zoom Meeting or Google Meet; an open set."),
    ("html_link", "VARCHAR", "Its page at the provider."),
    ("created_at", "TIMESTAMPTZ", "When it was made."),
    ("updated_at", "TIMESTAMPTZ", "When it was changed last."),
)
_THREAD_COLUMNS = columns(
    GRANT_ID,
    ("id", "VARCHAR", "Thread id of the API; unique within the grant."),
    ("subject", "VARCHAR", "Subject of its mail."),
    ("snippet", "VARCHAR", "First words of its newest message."),
    ("unread", "BOOLEAN", "Has a message not read yet."),
    ("starred", "BOOLEAN", "Has a starred message."),
    ("has_attachments", "BOOLEAN", "Has a message with attachments."),
    ("has_drafts", "BOOLEAN", "Has a draft."),
    ("earliest_message_date", "TIMESTAMPTZ", "Date of its first message."),
    ("latest_message_received_date", "TIMESTAMPTZ", "Date of the last message received."),
    ("latest_message_sent_date", "TIMESTAMPTZ", "Date of the last message sent."),
    ("message_ids", "VARCHAR[]", "Its messages."),
    ("folders", "VARCHAR[]", "Folders its messages are in."),
)
_DERIVED_THREAD_COLUMNS = columns(
    GRANT_ID,
    ("id", "VARCHAR", "The thread, as in `messages.thread_id`."),
    ("subject", "VARCHAR", "Subject of its first message."),
    ("messages", "BIGINT", "Messages in it."),
    ("participants", "BIGINT", "Different addresses it was from or to."),
    ("earliest", "TIMESTAMPTZ", "Date of its first message."),
    ("latest", "TIMESTAMPTZ", "Date of its newest message."),
    ("unread", "BOOLEAN", "Has a message not read yet."),
    ("starred", "BOOLEAN", "Has a starred message."),
    ("has_attachments", "BOOLEAN", "Has a message with attachments."),
    ("snippet", "VARCHAR", "First words of its newest message."),
)
_LEDGER_COLUMNS = columns(
    ("stream", "VARCHAR", "contacts, calendars, events or provider_threads."),
    GRANT_ID,
    (
        "scope",
        "VARCHAR",
        "Calendar of the events or source of the contacts; null where one list is all.",
    ),
    ("state", "VARCHAR", "registered, listing, complete, skipped, paused or failed."),
    ("pages", "BIGINT", "Pages stored in this pass."),
    ("records", "BIGINT", "Records stored that had not been stored before."),
    ("listed", "BIGINT", "Records listed in this pass, repeats included."),
    ("since", "TIMESTAMPTZ", "Listed no further back than this; null means all there is."),
    ("pass_started", "TIMESTAMPTZ", "Provider's clock at the first request of this pass."),
    ("first_fetch", "TIMESTAMPTZ", "When the first page was ever stored."),
    ("last_fetch", "TIMESTAMPTZ", "When the last page was stored."),
    ("requests", "BIGINT", "HTTP requests spent, tries included."),
    ("dead_letters", "BIGINT", "Records that could not be read."),
    ("subscribed", "BOOLEAN", "A webhook was active before the first page, so nothing fell between."),
    ("reason", "VARCHAR", "Why it is skipped, paused or failed."),
    ("next_step", "VARCHAR", "What to do about it."),
    ("updated_at", "TIMESTAMPTZ", "When this was written."),
)


def _existing(shown: tuple[Column, ...], source: str, more: str = "") -> str:
    names = ", ".join(column.name for column in shown)
    return f"SELECT {names}, record, observed_at FROM {source} WHERE deleted_at IS NULL{more}"


_OF_A_CALENDAR = """
 AND NOT EXISTS (
    SELECT 1 FROM all_calendars c
    WHERE c.grant_id = all_events.grant_id AND c.id = all_events.calendar_id AND c.deleted_at IS NOT NULL
)"""

_THREADS = """
WITH people AS (
    SELECT m.grant_id, m.thread_id, count(DISTINCT p.address_canonical) AS participants
    FROM messages m JOIN message_participants p ON p.grant_id = m.grant_id AND p.message_id = m.id
    WHERE m.thread_id IS NOT NULL GROUP BY ALL
), threads AS (
    SELECT grant_id, thread_id, arg_min(subject, (date, id)) AS subject, count(*) AS messages,
        min(date) AS earliest, max(date) AS latest, bool_or(unread) AS unread, bool_or(starred) AS starred,
        bool_or(has_attachments) AS has_attachments, arg_max(snippet, (date, id)) AS snippet
    FROM messages WHERE thread_id IS NOT NULL GROUP BY ALL
)
SELECT t.grant_id, t.thread_id AS id, t.subject, t.messages, coalesce(p.participants, 0) AS participants,
    t.earliest, t.latest, t.unread, t.starred, t.has_attachments, t.snippet
FROM threads t LEFT JOIN people p USING (grant_id, thread_id)
"""

_LEDGER = """
SELECT stream, grant_id, scope, state, pages, messages AS records, ids_seen AS listed, since, pass_started,
    first_fetch, last_fetch, requests, dead_letters, subscribed, reason, next_step, updated_at
FROM checkpoints WHERE stream <> 'messages' AND NOT (
    stream = 'events' AND EXISTS (
        SELECT 1 FROM all_calendars c
        WHERE c.grant_id = checkpoints.grant_id AND c.id = checkpoints.scope AND c.deleted_at IS NOT NULL
    )
)
QUALIFY row_number() OVER (PARTITION BY partition_key ORDER BY version DESC) = 1
"""

STREAM_TABLES = (
    Table(
        "all_contacts",
        "Contacts of every source, gone ones too.",
        (*_CONTACT_COLUMNS, *RECORD_STATE),
        sorted_by=("grant_id", "id"),
    ),
    Table(
        "contact_emails",
        "Addresses of contacts: one row per contact and position.",
        columns(
            GRANT_ID,
            ("contact_id", "VARCHAR", "The contact, as in `contacts.id`."),
            ("position", "INTEGER", "Place in the list, from 0."),
            ("address", "VARCHAR", "Address as given."),
            ("type", "VARCHAR", "Such as work or home."),
            _CANONICAL,
            _DOMAIN,
        ),
        sorted_by=("grant_id", "contact_id"),
    ),
    Table(
        "all_calendars",
        "Calendars, gone ones too.",
        (*_CALENDAR_COLUMNS, *RECORD_STATE),
        sorted_by=("grant_id", "id"),
    ),
    Table(
        "all_events",
        "Events of every calendar, gone ones too.",
        (*_EVENT_COLUMNS, *RECORD_STATE),
        sorted_by=("grant_id", "calendar_id", "id"),
    ),
    Table(
        "event_participants",
        "Who takes part in which event: one row per event and position.",
        columns(
            GRANT_ID,
            _CALENDAR_ID,
            ("event_id", "VARCHAR", "The event, as in `events.id`."),
            ("position", "INTEGER", "Place in the list, from 0."),
            ("name", "VARCHAR", "Name as given."),
            ("address", "VARCHAR", "Address as given; some rooms have none."),
            ("status", "VARCHAR", "yes, no, maybe or noreply."),
            ("comment", "VARCHAR", "What came with the answer."),
            _CANONICAL,
            _DOMAIN,
        ),
        sorted_by=("grant_id", "calendar_id", "event_id"),
    ),
    Table(
        "all_provider_threads",
        "Threads as the provider lists them, fetched only on request, gone ones too.",
        (*_THREAD_COLUMNS, *RECORD_STATE),
        sorted_by=("grant_id", "id"),
    ),
)
"""Stored tables, in the order in which they are created."""

_SHOWN = columns(_RECORD, OBSERVED_AT)

STREAM_VIEWS = (
    Table(
        "contacts",
        "Contacts that exist, one row per (grant_id, id).",
        (*_CONTACT_COLUMNS, *_SHOWN),
        select=_existing(_CONTACT_COLUMNS, "all_contacts"),
    ),
    Table(
        "calendars",
        "Calendars that exist, one row per (grant_id, id).",
        (*_CALENDAR_COLUMNS, *_SHOWN),
        select=_existing(_CALENDAR_COLUMNS, "all_calendars"),
    ),
    Table(
        "events",
        "Events of calendars that exist, one row per (grant_id, calendar_id, id).",
        (*_EVENT_COLUMNS, *_SHOWN),
        select=_existing(_EVENT_COLUMNS, "all_events", _OF_A_CALENDAR),
    ),
    Table(
        "threads",
        "Conversations, put together from the messages the lake holds.",
        _DERIVED_THREAD_COLUMNS,
        select=_THREADS,
    ),
    Table(
        "provider_threads",
        "Threads as the provider lists them, where that was asked for.",
        (*_THREAD_COLUMNS, *_SHOWN),
        select=_existing(_THREAD_COLUMNS, "all_provider_threads"),
    ),
    Table(
        "stream_ledger",
        "Where each list of contacts, calendars, events and provider's threads stands, of what exists.",
        _LEDGER_COLUMNS,
        select=_LEDGER,
    ),
)
"""What people query."""
