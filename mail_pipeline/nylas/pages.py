"""A page of the API: what the engine gets, and how an answer's bytes become one."""

from dataclasses import dataclass
from typing import Any, Literal

import orjson

from mail_pipeline.nylas.decoding import decode_oddities

Shape = Literal["array", "object", "nothing"]


@dataclass(frozen=True, slots=True)
class Page:
    """Records of one answer, with where the list goes on, as of when it holds, and what it cost."""

    records: list[Any]
    """As decoded, unchecked. Strings may hold lone surrogates and NUL, and values may nest to any depth. An
    integer that needs more than 64 bits, which no field of the API is meant to hold, comes as a float; where
    something else in the answer is odd as well it may come whole."""
    next_cursor: str | None
    """None: the list ends here. A short or an empty page does not end it."""
    observed_at: int
    """When the request was sent: unix seconds of the provider's clock, never later than the truth."""
    body_bytes: int
    """Size of the JSON, after any decompression."""
    quota_units: int
    """Google quota units spent by this answer: as its header says, else estimated. 0 elsewhere."""
    request_id: str
    """Nylas' id of the answer, for its support; empty where the answer had none."""
    requests: int = 1
    """How many requests it took, the failed ones included."""
    limit: int | None = None
    """The page size the answer says it has, where it says so: a server may lower the one asked for."""
    left_out: tuple[str, ...] = ()
    """Ids of records the answer had and that may not be seen."""


@dataclass(frozen=True, slots=True)
class Download:
    """What came of a body that went into a file."""

    size: int
    """Bytes in the file."""
    quota_units: int
    """As in `Page`."""
    requests: int = 1
    """How many requests it took, the failed ones included."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The parts of a successful answer."""

    records: list[Any]
    next_cursor: str | None
    request_id: str
    limit: int | None


class UnreadableError(Exception):
    """An answer is not what the API promises. Its text names the JSON path, never a value."""


def read_envelope(body: bytes, shape: Shape) -> Envelope:
    """Read `{"request_id", "data", "next_cursor"}` whose data is an array, one object, or no matter.

    Only an absent, null or empty `next_cursor` ends a list (reference: nylas-api 3.3).
    Raises UnreadableError.
    """
    if shape == "nothing" and not body:
        return Envelope([], None, "", None)
    answer = decode(body)
    if not isinstance(answer, dict):
        raise UnreadableError(f"expected an object at $, found {kind(answer)}")
    if shape == "nothing":
        answer = {"request_id": answer.get("request_id"), "data": []}
    elif "data" not in answer:
        raise UnreadableError(f"expected an {shape} at $.data, found nothing")
    data = answer["data"]
    if not isinstance(data, dict if shape == "object" else list):
        raise UnreadableError(f"expected an {shape} at $.data, found {kind(data)}")
    cursor = answer.get("next_cursor")
    if cursor is not None and not isinstance(cursor, str):
        raise UnreadableError(f"expected a string or null at $.next_cursor, found {kind(cursor)}")
    if cursor is not None and not _is_unicode(cursor):
        # Neither a request nor the lake can hold it.
        raise UnreadableError("expected Unicode at $.next_cursor, found a lone surrogate")
    request_id = answer.get("request_id")
    limit = answer.get("limit")
    return Envelope(
        records=data if isinstance(data, list) else [data],
        next_cursor=cursor or None,
        request_id=request_id if isinstance(request_id, str) else "",
        limit=limit if isinstance(limit, int) and limit > 0 else None,
    )


def decode(body: bytes) -> Any:
    """Decode JSON, with what `decode_oddities` lets through. Raises UnreadableError."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return decode_oddities(body)
    except ValueError:
        pass
    raise UnreadableError(f"expected JSON at $, found {_text_kind(body)}")


def kind(value: object) -> str:
    """Return what a decoded value is, without saying what it holds."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text_kind(body: bytes) -> str:
    start = body[:100].lstrip().lower()
    if not start:
        return "an empty body"
    if start.startswith(b"<"):
        return "HTML or XML"
    return "broken JSON" if start[:1] in b"{[" else "other text"
