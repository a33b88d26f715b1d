"""Taking out of notifications what is not wanted, before they land.

The receiver knows the configuration file and nothing of the lake. Where it cannot tell whether a message is
wanted, since only the lake knows which folder an id is or what a search found, it keeps of it what tells that
later and marks it as truncated: whoever applies it asks the API for the rest.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from mail_pipeline.errors import MailPipelineError
from mail_pipeline.inbox import payload
from mail_pipeline.subset import Subset, Subsets
from mail_pipeline.subset.fields import KINDS, STREAM_OF
from mail_pipeline.subset.folders import GOOGLE_ROLES, Standing

if TYPE_CHECKING:
    from mail_pipeline.inbox.landing import Delivery

_Delivery = TypeVar("_Delivery", bound="Delivery")

_ENVELOPE = ("specversion", "type", "source", "id", "time", "webhook_delivery_attempt")

_BARE = ("id", "grant_id", "object", "calendar_id", "master_event_id", "date", "folders")
_IDS = frozenset(_BARE[:3])
_FLAGS = ("unread", "starred")
_FORGOTTEN = "forgotten"
_CHANGES = frozenset({"created", "updated"})
_STALE_HEADERS = frozenset({"content-encoding", "content-length", "x-nylas-signature"})


def narrowed(delivery: _Delivery, subsets: Subsets, providers: Mapping[str, str] | None = None) -> _Delivery:
    """Return a delivery without what is not wanted; the very same where everything is.

    `providers` are those of the grants, where they are known; else the sender's word counts. Of what cannot
    be read at all nothing is kept but its size. Never raises, and changes nothing it has narrowed before.
    """
    if subsets.everything:
        return delivery
    try:
        envelope = json.loads(text) if (text := _text(delivery)) is not None else None
        if not isinstance(envelope, dict):
            return _with_body(delivery, _note(delivery))
        kept = _narrow(envelope, subsets, providers or {})
        return delivery if kept is None else _with_body(delivery, _encoded(kept))
    except (ValueError, RecursionError, TypeError):
        return _with_body(delivery, _note(delivery))


def without_grant(delivery: _Delivery, grant_id: str) -> _Delivery:
    """Return a delivery that names a grant without all that it says; the very same where it does not."""
    text = _text(delivery)
    if _encoded(grant_id) not in (delivery.body if text is None else text):
        return delivery
    return _with_body(delivery, _encoded({_FORGOTTEN: f"{len(delivery.body)} bytes about a grant"}))


def is_forgotten(delivery: "Delivery") -> bool:
    """Tell whether a delivery is what `without_grant` leaves."""
    return delivery.body.startswith(b'{"%b":' % _FORGOTTEN.encode())


def _text(delivery: "Delivery") -> bytes | None:
    try:
        return payload.inflate(delivery.body, delivery.headers)
    except MailPipelineError:
        return None


def _narrow(
    envelope: dict[str, Any], subsets: Subsets, providers: Mapping[str, str]
) -> dict[str, Any] | None:
    """Return the envelope to keep, None where it may stay as it is."""
    data = envelope.get("data")
    record = data.get("object") if isinstance(data, dict) else None
    kind, _, rest = str(envelope.get("type")).partition(".")
    if kind == "folder":
        return None
    if not isinstance(data, dict) or not isinstance(record, dict):
        return _only(envelope, *_ENVELOPE)
    grant_id = record.get("grant_id", data.get("grant_id"))
    grant_id = grant_id if isinstance(grant_id, str) else ""
    subset = _subset(subsets, grant_id, providers.get(grant_id) or _provider(envelope, record))
    if subset.everything and subset.provider:
        return None
    kept, whole = _object(subset, kind, rest.split("."), record)
    facts = {name: data[name] for name in ("application_id", "grant_id") if name in data}
    told = {**_only(envelope, *_ENVELOPE), "data": {**facts, "object": kept}}
    if not whole and "truncated" not in rest.split("."):
        told["type"] = f"{envelope['type']}.truncated"
    return told


def _subset(subsets: Subsets, grant_id: str, provider: str) -> Subset:
    return subsets.of(grant_id, provider) if provider else subsets.strictest(grant_id)


def _provider(envelope: dict[str, Any], record: dict[str, Any]) -> str:
    """Return the provider as the sender tells it: /google/emails/realtime, or in a grant's own record."""
    named = str(envelope.get("source")).split("/")
    found = named[1] if len(named) > 1 else ""
    if found in {"", "nylas"}:
        found = record.get("provider", "") if record.get("object", "grant") == "grant" else ""
    return found if isinstance(found, str) else ""


def _object(
    subset: Subset, kind: str, words: list[str], record: dict[str, Any]
) -> tuple[dict[str, Any], bool]:
    """Return what is kept of an object, and whether that is all that is wanted of it."""
    if kind == "grant":
        return subset.strip("grant", record), True
    changes = bool(_CHANGES.intersection(words))
    if kind not in STREAM_OF or not changes or not subset.wants(STREAM_OF[kind]):
        return _only(record, *_bare(kind)), True
    stripped = subset.strip(kind, record)
    if kind != "message":
        return stripped, True
    by_role = subset.provider == "google" and subset.folders.by_role
    facts = record if by_role else {name: value for name, value in record.items() if name != "folders"}
    if not subset.keeps_message(facts, lambda label: _google_label(subset, label)):
        return _only(record, *_bare(kind)), True
    needed = ["date"] if subset.since is not None else []
    needed += ["folders"] if subset.folders else []
    told = all(record.get(name) is not None for name in needed)
    if told and subset.search is None and (by_role or not subset.folders):
        return stripped, True
    return _only(stripped, *_bare(kind), *_FLAGS), False


def _google_label(subset: Subset, label: str) -> Standing:
    """Return where a label of Google's stands whose rules go by role: their ids are the same everywhere."""
    return subset.folders.standing((), GOOGLE_ROLES.get(label))


def _bare(kind: str) -> Iterator[str]:
    """Yield the fields that tell which object it is, and whether it is wanted."""
    always = KINDS[kind].always if kind in KINDS else _IDS
    return (name for name in _BARE if name in always)


def _only(record: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: record[name] for name in names if name in record}


def _with_body(delivery: _Delivery, body: bytes) -> _Delivery:
    headers = {name: value for name, value in delivery.headers.items() if name not in _STALE_HEADERS}
    return replace(delivery, body=body, headers=headers)


def _note(delivery: "Delivery") -> bytes:
    return _encoded({"left_out": f"{len(delivery.body)} bytes that could not be read, so not narrowed"})


def _encoded(envelope: dict[str, Any] | str) -> bytes:
    # It may hold lone surrogates, which JSON can write only in ASCII.
    return json.dumps(envelope, separators=(",", ":")).encode()
