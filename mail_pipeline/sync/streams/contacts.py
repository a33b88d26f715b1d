"""Contacts: a pass for each source, for the API lists only the address book unless asked (5.2)."""

from collections.abc import Iterator
from typing import Any

from mail_pipeline.lake import queries
from mail_pipeline.sync.records import read_objects
from mail_pipeline.sync.rows import canonical
from mail_pipeline.sync.streams.record_store import Fields, Part
from mail_pipeline.sync.streams.record_stream import RecordStream

_SOURCES = ("address_book", "inbox", "domain")


def _sources(provider: str) -> tuple[str, ...]:
    if provider in {"virtual-calendar", "zoom"}:
        return ()
    return ("address_book", "domain") if provider == "ews" else _SOURCES


def _display_name(fields: Fields) -> str | None:
    names = [fields.get(name) for name in ("given_name", "middle_name", "surname")]
    full = " ".join(name for name in names if name)
    return full or fields.get("company_name") or fields.get("nickname") or None


def _groups(fields: Fields) -> list[str]:
    ids = (group.get("id") for group in fields.get("groups") or ())
    return [identity for identity in ids if isinstance(identity, str)]


def _emails(fields: Fields) -> Iterator[tuple[Any, ...]]:
    for position, item in enumerate(fields.get("emails") or ()):
        address, kind = (each if isinstance(each, str) else None for each in map(item.get, ("email", "type")))
        yield position, address, kind, *canonical(address)


CONTACTS = RecordStream(
    name="contacts",
    kind="contact",
    largest_page=200,
    scopes=_sources,
    scope_parameter="source",
    readers=dict.fromkeys(
        ("emails", "phone_numbers", "physical_addresses", "web_pages", "im_addresses", "groups"), read_objects
    ),
    values={
        "display_name": _display_name,
        "groups": _groups,
    },
    parts=(Part("contact_emails", "contact_id", _emails),),
    missed=queries.MISSED_CONTACTS,
)
