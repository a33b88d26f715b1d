"""The query parameters of the list calls: parsed, checked as the API checks them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from mail_pipeline.simulator.identifiers import IMAP_FAMILY
from mail_pipeline.simulator.mailboxes import Grant
from mail_pipeline.simulator.problems import bad_request
from mail_pipeline.simulator.rhythm import DAY

MAX_LIMIT = 200
FIELDS = ("standard", "include_headers", "include_basic_headers", "include_tracking_options", "raw_mime")

_MESSAGE_LIST = frozenset(
    [
        *("limit", "page_token", "select", "in", "query_imap", "received_after", "received_before", "fields"),
        "search_query_native",
    ]
)
_BESIDE_SEARCH = {name: frozenset(["in", "limit", "page_token"]) for name in ("google", "microsoft")}
_MESSAGE = frozenset(["select", "in", "query_imap", "fields"])
_FOLDER_LIST = frozenset(
    ["limit", "page_token", "select", "parent_id", "include_hidden_folders", "single_level"]
)
_GRANT_LIST = frozenset(
    ["limit", "offset", "sort_by", "order_by", "since", "before", "email", "grant_status", "provider"]
)


@dataclass(frozen=True)
class Paging:
    """How much of a list is asked for, and what its cursors are bound to."""

    limit: int
    page_token: str | None
    binding: str


@dataclass(frozen=True)
class MessageQuery:
    """Which messages, and which of their fields."""

    folder_id: str | None = None
    query_imap: bool = False
    first: int | None = None
    """Oldest date wanted, unix seconds, inclusive."""
    end: int | None = None
    """Newest date wanted, unix seconds, exclusive."""
    select: frozenset[str] | None = None
    fields: str = "standard"
    search: str | None = None
    """What the subject has to hold, in lower case: all there is here of the providers' languages."""


def paging(path: str, params: Mapping[str, str], default: int = 50, most: int = MAX_LIMIT) -> Paging:
    """Read limit and page_token; raises the API's 400 for a limit outside 1 to `most`."""
    bound = sorted((key, value) for key, value in params.items() if key not in {"limit", "page_token"})
    limit = whole_number(params, "limit", default)
    if limit > most:
        raise bad_request(f"limit must be lower than or equal to {most}")
    if limit < 1:
        raise bad_request("limit must be greater than or equal to 1")
    return Paging(limit, params.get("page_token") or None, f"{path}?{bound}")


def message_list_query(grant: Grant, params: Mapping[str, str]) -> MessageQuery:
    """Read the parameters of a message list.

    `received_after` and `received_before` exclude the second they name; EWS compares days and includes both.
    """
    known(params, _MESSAGE_LIST)
    search = params.get("search_query_native", "").lower() or None
    beside = params.keys() - {"search_query_native"} - _BESIDE_SEARCH.get(grant.provider, params.keys())
    if search and beside:
        raise bad_request(f"{grant.provider} takes no {min(beside)} beside search_query_native")
    query = _message_query(grant, params)
    if query.query_imap and query.folder_id is None:
        raise bad_request("in is required when query_imap is true")
    after, before = (whole_number(params, name, None) for name in ("received_after", "received_before"))
    if grant.provider == "ews":
        first = None if after is None else after - after % DAY
        end = None if before is None else before - before % DAY + DAY
    else:
        first = None if after is None else after + 1
        end = before
    return MessageQuery(query.folder_id, query.query_imap, first, end, query.select, query.fields, search)


def message_query(grant: Grant, params: Mapping[str, str]) -> MessageQuery:
    """Read the parameters of a GET of one message."""
    known(params, _MESSAGE)
    return _message_query(grant, params)


def folder_list_select(params: Mapping[str, str]) -> frozenset[str] | None:
    """Check the parameters of a folder list and return the fields selected."""
    known(params, _FOLDER_LIST)
    return select(params)


def grant_list_parameters(params: Mapping[str, str]) -> Mapping[str, str]:
    """Check the parameters of a grant list: offset paging, no page_token."""
    known(params, _GRANT_LIST)
    if params.get("sort_by", "created_at") not in {"created_at", "updated_at"}:
        raise bad_request("sort_by must be created_at or updated_at")
    if params.get("order_by", "desc") not in {"asc", "desc"}:
        raise bad_request("order_by must be asc or desc")
    return params


def selected(records: Sequence[dict[str, Any]], fields: frozenset[str] | None) -> list[dict[str, Any]]:
    """Return the records with only the fields asked for."""
    if fields is None:
        return list(records)
    return [{key: value for key, value in record.items() if key in fields} for record in records]


def flag(params: Mapping[str, str], name: str) -> bool:
    """Read true or false, false where absent."""
    value = params.get(name, "false").lower()
    if value not in {"true", "false"}:
        raise bad_request(f"{name} must be true or false")
    return value == "true"


@overload
def whole_number(params: Mapping[str, str], name: str, default: int) -> int: ...
@overload
def whole_number(params: Mapping[str, str], name: str, default: None) -> int | None: ...
def whole_number(params: Mapping[str, str], name: str, default: int | None) -> int | None:
    """Read a whole number of at least 0."""
    value = params.get(name)
    if value is None or value == "":
        return default
    if not (value.isascii() and value.isdigit()):
        raise bad_request(f"{name} must be a whole number")
    return int(value)


def _message_query(grant: Grant, params: Mapping[str, str]) -> MessageQuery:
    query_imap = flag(params, "query_imap")
    if query_imap and grant.provider not in IMAP_FAMILY:
        raise bad_request(f"query_imap is not supported for provider {grant.provider}")
    fields = params.get("fields", "standard")
    if fields not in FIELDS:
        raise bad_request(f"fields must be one of {', '.join(FIELDS)}")
    return MessageQuery(params.get("in") or None, query_imap, select=select(params), fields=fields)


def select(params: Mapping[str, str]) -> frozenset[str] | None:
    """Read which fields are asked for, None for all."""
    names = frozenset(name.strip() for name in params.get("select", "").split(",") if name.strip())
    return names or None


def known(params: Mapping[str, str], names: Collection[str]) -> None:
    """Refuse what the simulator does not serve: ignoring a filter would answer another question."""
    for name in params:
        if name not in names:
            raise bad_request(f"unknown or unsupported parameter {name}")
