"""The fields of each kind of object that can be chosen, and what in them tells who somebody is.

Sources: reference nylas-api 2 (grants), 3.4 (messages), 5.2 (contacts), 5.3 (calendars), 5.4 (events).
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object of the API."""

    fields: tuple[str, ...]
    """What can be asked for; a field that is not here is not kept once anything is left out."""
    always: frozenset[str]
    """Fields without which it cannot be stored or told whether it is wanted."""
    people: frozenset[str] = frozenset()
    """Lists of people, or one person: objects with `email` and `name`."""
    addresses: frozenset[str] = frozenset()
    """Fields that are one address."""
    telling: frozenset[str] = frozenset()
    """Fields that name people or hold addresses inside other text; hashing drops them."""


STREAM_OF = {"message": "messages", "contact": "contacts", "calendar": "calendars", "event": "events"}
"""The stream that a notification of an object of this kind tells of."""

_TAGS = frozenset({"id", "grant_id", "object"})

KINDS: Mapping[str, Kind] = {
    "message": Kind(
        fields=(
            *("id", "grant_id", "object", "thread_id", "subject", "from", "to", "cc", "bcc", "reply_to"),
            *("date", "created_at", "folders", "unread", "starred", "snippet", "body", "attachments"),
            *("in_reply_to", "schedule_id", "send_at", "use_draft", "metadata"),
        ),
        always=_TAGS | {"date", "folders"},
        people=frozenset({"from", "to", "cc", "bcc", "reply_to"}),
        telling=frozenset({"metadata"}),
    ),
    "contact": Kind(
        fields=(
            *("id", "grant_id", "object", "source", "given_name", "middle_name", "surname", "suffix"),
            *("nickname", "display_name", "birthday", "company_name", "job_title", "manager_name"),
            *("office_location", "notes", "picture_url", "updated_at", "emails", "phone_numbers"),
            *("physical_addresses", "web_pages", "im_addresses", "groups"),
        ),
        always=_TAGS | {"source"},
        people=frozenset({"emails"}),
        telling=frozenset(
            {
                *("given_name", "middle_name", "surname", "suffix", "nickname", "display_name", "birthday"),
                *("manager_name", "notes", "picture_url", "phone_numbers", "physical_addresses"),
                *("web_pages", "im_addresses"),
            }
        ),
    ),
    "calendar": Kind(
        fields=(
            *("id", "grant_id", "object", "name", "description", "location", "timezone", "hex_color"),
            *("hex_foreground_color", "is_primary", "is_owned_by_user", "read_only", "owner_email"),
            "metadata",
        ),
        always=_TAGS,
        addresses=frozenset({"owner_email"}),
        # The calendar of an account is named after its address as often as not.
        telling=frozenset({"name", "description", "metadata"}),
    ),
    "event": Kind(
        fields=(
            *("id", "calendar_id", "grant_id", "object", "title", "description", "text_description"),
            *("location", "busy", "status", "visibility", "read_only", "hide_participants", "html_link"),
            *("ical_uid", "master_event_id", "original_start_time", "recurrence", "created_at"),
            *("updated_at", "organizer", "creator", "participants", "resources", "reminders"),
            *("conferencing", "metadata", "sequence", "color_id", "occurrences", "cancelled_occurrences"),
            "when",
        ),
        always=_TAGS | {"calendar_id", "when", "status", "master_event_id", "original_start_time"},
        people=frozenset({"organizer", "creator", "participants", "resources"}),
        telling=frozenset(
            # A link of Google's has the calendar's address in it, in base64.
            {"description", "text_description", "html_link", "conferencing", "metadata"}
        ),
    ),
    "thread": Kind(
        fields=(
            *("id", "grant_id", "object", "subject", "snippet", "starred", "unread", "has_attachments"),
            *("has_drafts", "earliest_message_date", "latest_message_received_date"),
            *("latest_message_sent_date", "participants", "message_ids", "draft_ids", "folders"),
            "latest_draft_or_message",
        ),
        always=_TAGS | {"folders"},
        people=frozenset({"participants"}),
    ),
    "grant": Kind(
        fields=(
            *("id", "grant_id", "object", "provider", "scope", "created_at", "updated_at", "grant_status"),
            *("email", "name", "blocked", "account_id", "workspace_id", "credential_id", "code"),
            *("integration_id", "login_id", "grant_updated_at", "reauthentication_flag", "type"),
            *("ip", "user_agent", "state", "provider_user_id", "email_aliases", "settings", "metadata"),
        ),
        always=_TAGS,
        addresses=frozenset({"email"}),
        telling=frozenset(
            {"name", "ip", "user_agent", "state", "provider_user_id", "email_aliases", "settings", "metadata"}
        ),
    ),
}
"""By name. Folders are not here: without them nobody could tell which mail is wanted."""

CHOOSABLE = ("message", "contact", "calendar", "event")
"""Kinds whose fields the user chooses; a thread's follow from its messages'."""

LIKE_MESSAGES: Mapping[str, tuple[str, ...]] = {
    "subject": ("subject",),
    "snippet": ("snippet",),
    "participants": ("from", "to", "cc", "bcc", "reply_to"),
    "starred": ("starred",),
    "unread": ("unread",),
    "has_attachments": ("attachments",),
}
"""Fields of a thread, and the message's fields all of which must be wanted for it."""

KEPT_OF_PEOPLE = frozenset({"email", "type", "status"})
"""What hashing leaves of a person: the address, hashed, and how it is used."""
