"""Contacts and their groups as each provider has them (API notes, 5.2)."""

from typing import Any, NamedTuple

from mail_pipeline.simulator import words
from mail_pipeline.simulator.holdings import Holdings
from mail_pipeline.simulator.identifiers import object_ids
from mail_pipeline.simulator.shelf import Record, Shelf

SOURCES = ("address_book", "inbox", "domain")
_SHARES: dict[str, tuple[float, float, float]] = {
    "google": (0.6, 0.25, 0.15),
    "microsoft": (0.6, 0.25, 0.15),
    "icloud": (0.7, 0.3, 0.0),
    "yahoo": (0.7, 0.3, 0.0),
    "imap": (0.0, 1.0, 0.0),
}
"""Of address_book, inbox and domain. An IMAP server has no address book."""
_LIKE_EWS = (0.7, 0.0, 0.3)
ARRAYS = ("emails", "phone_numbers", "physical_addresses", "web_pages", "im_addresses", "groups")
_CORRESPONDENTS = 60
"""The first contacts are the people whom the mail is with."""
_JOBS = ("Buyer", "Controller", "Data engineer", "Gardener", "Head of sales", "Nurse", "Pilot", "Tischlerin")


class ContactEntry(NamedTuple):
    """What the lists look at of a contact."""

    id: str
    source: str
    groups: tuple[str, ...]
    number: int = -1
    """What its record is written from; -1 where that was given."""


class Group(NamedTuple):
    """A contact group."""

    id: str
    name: str
    path: str
    kind: str
    """user, system or other."""

    def record(self, grant_id: str) -> Record:
        """Return the API's ContactGroup object."""
        return {
            "id": self.id,
            "grant_id": grant_id,
            "object": "contact_group",
            "name": self.name,
            "path": self.path,
            "group_type": self.kind,
        }


def contact_groups(holdings: Holdings) -> list[Group]:
    """Return a grant's contact groups: at Microsoft folders within folders; EWS, IMAP and Yahoo have none."""
    ids = object_ids(holdings.provider, holdings.seed, holdings.mailbox, "contact group")
    if holdings.provider == "google":
        system = [Group(name, name, name, "system") for name in ("myContacts", "starred", "friends")]
        return [
            *system,
            Group(ids(0), "Suppliers", "Suppliers", "user"),
            Group(ids(1), "Büro", "Büro", "user"),
        ]
    if holdings.provider == "microsoft":
        paths = ("Contacts", "Contacts/Suppliers", "Contacts/Suppliers/Wood & Steel", "Other")
        kinds = ("system", "user", "user", "other")
        return [
            Group(ids(number), path.rpartition("/")[2], path, kind)
            for number, (path, kind) in enumerate(zip(paths, kinds, strict=True))
        ]
    if holdings.provider == "icloud":
        return [Group(ids(number), name, name, "user") for number, name in enumerate(("Family", "Choir"))]
    return []


def has_inbox(provider: str) -> bool:
    """Return whether a provider knows contacts made from mail: EWS and what is served like it do not."""
    return provider in _SHARES


def contacts(holdings: Holdings, groups: list[Group]) -> Shelf[ContactEntry]:
    """Return a grant's contacts; the same holdings give the same contacts."""
    ids = object_ids(holdings.provider, holdings.seed, holdings.mailbox, "contact")
    book, inbox, _ = _SHARES.get(holdings.provider, _LIKE_EWS)
    entries = []
    for number in range(holdings.contacts):
        draw = holdings.number("contact", number, "kind")
        # Spread over the list, and exact in the long run whatever the draws.
        share = number * 0.618_034 % 1
        source = SOURCES[0] if share < book else SOURCES[1] if share < book + inbox else SOURCES[2]
        mine = {groups[draw % len(groups)].id, groups[0].id} if groups and draw % 5 < 3 else set()
        chosen = tuple(sorted(mine)) if source == "address_book" else ()
        entries.append(ContactEntry(ids(number), source, chosen, number))
    return Shelf(entries, lambda entry: _write(holdings, entry))


def new_contact(holdings: Holdings, number: int, source: str) -> Record:
    """Return a contact that was not there at first; `number` makes it another, in its id and all it says."""
    ids = object_ids(holdings.provider, holdings.seed, holdings.mailbox, "contact")
    return _write(holdings, ContactEntry(ids(number), source, (), number))


def contact_entry(record: Record) -> ContactEntry:
    """Return what the lists look at of a record that was given."""
    groups = tuple(group["id"] for group in record.get("groups") or [])
    return ContactEntry(record["id"], record.get("source") or SOURCES[0], groups)


def picture(record: Record) -> str | None:
    """Return the picture of a contact that has one, base64, as `profile_picture=true` shows it."""
    return None if record.get("picture_url") is None else "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAA"


def _write(holdings: Holdings, entry: ContactEntry) -> Record:
    number, random = entry.number, holdings.random("contact", entry.number)
    kind: tuple[str | int, ...] = (0,) if number < _CORRESPONDENTS else ("contact",)
    name, address = words.person(holdings.seed, holdings.mailbox, *kind, number)
    given, _, surname = name.partition(" ")
    company = words.COMPANIES[int(random.random() * len(words.COMPANIES))].capitalize()
    record: Record = {
        "id": entry.id,
        "grant_id": holdings.grant_id,
        "object": "contact",
        "source": entry.source,
        "given_name": given,
        "surname": surname,
        "display_name": name,
        "emails": [{"email": address, "type": "work"}],
    }
    if holdings.provider in {"google", "microsoft"}:
        record["updated_at"] = holdings.now - int(random.random() * holdings.years * 31_557_600) - 1
    if entry.source != "inbox":
        record |= {"company_name": f"{company} GmbH", "job_title": _JOBS[int(random.random() * len(_JOBS))]}
    if entry.source == "address_book":
        record |= _details(holdings, entry, surname, random.random)
    for array in ARRAYS:
        # Null, absent and empty all say the same.
        if array not in record and (draw := random.random()) < 0.7:
            record[array] = None if draw < 0.5 else []
    if number % 40 == 7:
        # Some address books hold a row with a name and no address, or an address without any name.
        record["emails"] = None
    elif number % 40 == 17:
        record |= {"given_name": None, "surname": None, "display_name": None}
        record["emails"] = [{"email": address.title(), "type": None}, {"email": "", "type": "other"}]
    return record


def _details(holdings: Holdings, entry: ContactEntry, surname: str, draw: Any) -> Record:
    """Return what only people's own address books hold."""
    number = entry.number
    details: Record = {"groups": [{"id": group} for group in entry.groups] or None}
    if draw() < 0.6:
        details["phone_numbers"] = [{"number": f"+49 30 {number:06d}", "type": "mobile"}]
    if draw() < 0.4:
        details["physical_addresses"] = [
            {
                "format": "structured",
                "street_address": f"Lindenweg {number % 90 + 1}",
                "city": "Köln",
                "postal_code": f"{50_000 + number % 999}",
                "state": "NRW",
                "country": "DE",
                "type": "home",
            }
        ]
    if draw() < 0.3:
        details["web_pages"] = [{"url": f"https://{surname.lower()}.example", "type": "homepage"}]
        details["im_addresses"] = [{"type": "jabber", "im_address": f"user{number}@im.example"}]
    if draw() < 0.3:
        details |= {"birthday": f"19{50 + number % 50}-02-{number % 28 + 1:02d}", "nickname": surname[:3]}
    if draw() < 0.3:
        details |= {"notes": f"Met in Köln\n{words.paragraphs()[number % 50][:80]}", "middle_name": "M."}
    if draw() < 0.2:
        details |= {"manager_name": "Greta Oak", "office_location": f"B {number % 9}", "suffix": "Jr."}
    if draw() < 0.2:
        details["picture_url"] = f"https://pictures.example.org/{holdings.mailbox}/{number}.png"
        details["metadata"] = {"key1": f"crm-{number}"}
    return details
