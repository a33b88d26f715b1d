"""Reading the API's message records: tolerant of what the contract allows, exact about what it does not.

Reading is per record. One that cannot be read becomes a `DeadLetter`, and the page goes on.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.texts import check_text, mended

_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second a timestamp column holds
_NOT_FIELDS = frozenset({"grant_id", "object"})
_LAST_SIZE = 2**63 - 1
TOO_DEEP = "record: expected an object, got one nested too deeply"
"""Why a record is a dead letter that Python's own recursion limit keeps from being read."""
_DEEPEST = 500
"""Levels. What is read here is written and read back from deeper in the stack, which has room for 1,000."""
_LONE_SURROGATE = "text: expected Unicode, got a lone surrogate"
_KEYS = frozenset({"thread_id", "folders"})
"""Fields of a message that name something else, by which rows are found."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body, told from another by its size in UTF-8 and the first 8 bytes of its SHA-256.

    `data` is the text in UTF-8, None where the body lies in the lake already and only its likeness was read
    back.
    """

    data: bytes | None = field(compare=False, repr=False)
    size: int
    hash: int

    @classmethod
    def of(cls, text: str) -> "Body":
        """Take the measure of a text. Raises UnicodeEncodeError for a lone surrogate."""
        data = text.encode()
        return cls(data, len(data), int.from_bytes(hashlib.sha256(data).digest()[:8], "big"))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be read as it came: kept raw, with the reason.

    `stored` tells that it was stored all the same, after a repair.
    """

    object: str
    object_id: str | None
    reason: str
    raw: str
    stored: bool = False


class Unreadable(ValueError):
    """A record cannot be read; the text names the field, what was expected and what came."""


class NulInKey(Unreadable):
    """A message names a thread or a folder with a NUL in it, and can be read without that."""


def read_messages(
    records: Iterable[object], *, at: int, folder: str | None = None
) -> tuple[list[Observation], list[DeadLetter]]:
    """Read the records of one page as observations made at `at` (unix seconds, provider's clock).

    With `folder` the page is that folder's own listing. Text with lone surrogates, which UTF-8 cannot
    hold, is stored with U+FFFD in their place, ids of threads and folders with U+FFFD in the place of NUL,
    and such a record is kept raw beside it. Each record is in what comes back: as an observation, as a dead
    letter or as both.
    """
    return read_each(records, lambda record: read_message(record, at=at, folder=folder), "message")


def read_each(
    records: Iterable[object], read: Callable[[object], Observation], kind: str
) -> tuple[list[Observation], list[DeadLetter]]:
    """Read records one by one as `read_messages` promises; `kind` is what a dead letter calls them."""
    observations: list[Observation] = []
    dead: list[DeadLetter] = []
    for record in records:
        try:
            observation, reason = read_mended(record, read)
            observations.append(observation)
            if reason is not None:
                dead.append(DeadLetter(kind, observation.id, reason, raw(record), stored=True))
        except Unreadable as error:
            dead.append(DeadLetter(kind, identity_of(record), str(error), raw(record)))
        except RecursionError:
            dead.append(DeadLetter(kind, identity_of(record), TOO_DEEP, raw(record)))
    return observations, dead


def read_mended(record: Any, read: Callable[[Any], Observation]) -> tuple[Observation, str | None]:
    """Read a record, mended if it has to be; return also why it had to be, None where it is as it came.

    Raises Unreadable, and RecursionError for one that nests too deeply.
    """
    try:
        return read(record), None
    except UnicodeEncodeError:
        reason = _LONE_SURROGATE
    except NulInKey as error:
        reason = str(error)
    fixed = mended(record)
    keys = {name: mended(value, nul="\ufffd") for name, value in fixed.items() if name in _KEYS}
    return read({**fixed, **keys}), f"{reason}; stored with U+FFFD in its place"


def read_message(record: object, *, at: int, folder: str | None = None) -> Observation:
    """Read one message record.

    People come out as lists of (name, address), attachments as lists of dictionaries, a body as a `Body`,
    null lists as empty ones; fields the schema does not know stay as they are. Raises Unreadable, NulInKey
    among it, or UnicodeEncodeError where a text holds a lone surrogate.
    """
    record = read_object(record)
    identity = read_identity(record)
    fields: dict[str, Any] = {}
    for name, value in record.items():
        reader = _READERS.get(name)
        if reader is not None:
            fields[name] = reader(name, value)
        elif name not in _NOT_FIELDS:
            fields[check_text(name)] = read_anything(value)
    del fields["id"]
    if folder is not None:
        fields.pop("folders", None)
    if fields.get("body") is None:
        # A null body says no more than an absent one: it was not sent.
        fields.pop("body", None)
    return Observation(identity, at, fields, folder)


def read_identity(record: dict[str, Any]) -> str:
    """Return a record's id. Raises Unreadable where it has none that can be stored."""
    identity = read_key("id", record.get("id"))
    if not identity:
        raise Unreadable(f"id: expected text, got {'an empty one' if identity == '' else 'nothing'}")
    return identity


def read_object(record: object) -> dict[str, Any]:
    """Return a record that is an object. Raises Unreadable."""
    if not isinstance(record, dict):
        raise Unreadable(f"record: expected an object, got {_kind(record)}")
    return record


def read_anything(value: Any) -> Any:
    """Return a value of any shape as it is.

    Raises UnicodeEncodeError for a lone surrogate in it, and RecursionError for one that nests too deeply.
    """
    if not isinstance(value, (int, float)):
        text = check_text(json.dumps(value, ensure_ascii=False))
        if text.count("[") + text.count("{") > _DEEPEST:
            _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        held = (each.values() if isinstance(each, dict) else each for each in level)
        level = [each for values in held for each in values if isinstance(each, (dict, list))]
        if not level:
            return
    raise RecursionError


def read_text(name: str, value: Any) -> str | None:
    """Return a text or None. Raises Unreadable, or UnicodeEncodeError for a lone surrogate."""
    if isinstance(value, str):
        return check_text(value)
    if value is None:
        return None
    raise Unreadable(f"{name}: expected text, got {_kind(value)}")


def read_key(name: str, value: Any) -> str | None:
    """Return a text by which rows are found, or None. Raises as `read_text`, and Unreadable for a NUL."""
    text = read_text(name, value)
    if text is not None and "\0" in text:
        raise Unreadable(_nul_in(name))
    return text


def _thread(name: str, value: Any) -> str | None:
    text = read_text(name, value)
    if text is not None and "\0" in text:
        raise NulInKey(_nul_in(name))
    return text


def _nul_in(name: str) -> str:
    # DuckDB looks rows up in the lake by a statement of text, which ends at a NUL.
    return f"{name}: expected text without NUL, got text with it"


def _body(name: str, value: Any) -> Body | None:
    # Measuring a text encodes it, which finds a lone surrogate as well as reading it would.
    if isinstance(value, str):
        return Body.of(value)
    read_text(name, value)
    return None


def read_flag(name: str, value: Any) -> bool | None:
    """Return true, false or None. Raises Unreadable."""
    if value is None or isinstance(value, bool):
        return value
    raise Unreadable(f"{name}: expected true or false, got {_kind(value)}")


def read_seconds(name: str, value: Any, least: int = 0) -> int | None:
    """Return unix seconds, from `least` to what a timestamp can hold, or None. Raises Unreadable."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unreadable(f"{name}: expected unix seconds, got {_kind(value)}")
    if not least <= value <= _LAST_SECOND:
        bounds = f"from {least} to {_LAST_SECOND}"
        raise Unreadable(f"{name}: expected unix seconds {bounds}, got a number beyond them")
    return value


def read_count(name: str, value: Any) -> int | None:
    """Return a number that is not negative, or None. Raises Unreadable."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unreadable(f"{name}: expected a whole number, got {_kind(value)}")
    if not 0 <= value <= _LAST_SIZE:
        raise Unreadable(f"{name}: expected a whole number from 0 to {_LAST_SIZE}, got a number beyond them")
    return value


def read_list(name: str, value: Any) -> list[Any]:
    """Return a list; null is an empty one. Raises Unreadable."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unreadable(f"{name}: expected a list, got {_kind(value)}")
    return value


def read_objects(name: str, value: Any) -> list[dict[str, Any]]:
    """Return a list of objects; null is an empty one. Raises Unreadable."""
    items = read_list(name, value)
    for item in items:
        if not isinstance(item, dict):
            raise Unreadable(f"{name}: expected a list of objects, got {_kind(item)} in it")
    return items


def _people(name: str, value: Any) -> list[tuple[str | None, str | None]]:
    in_name, in_address = f"{name}.name", f"{name}.email"
    return [
        (read_text(in_name, person.get("name")), read_text(in_address, person.get("email")))
        for person in read_objects(name, value)
    ]


def _folders(name: str, value: Any) -> list[str]:
    folders = read_list(name, value)
    for folder in folders:
        if not isinstance(folder, str):
            raise Unreadable(f"{name}: expected a list of texts, got {_kind(folder)} in it")
        if "\0" in check_text(folder):
            raise NulInKey(_nul_in(name))
    return sorted(set(folders))


def _attachments(name: str, value: Any) -> list[dict[str, Any]]:
    return [
        {key: reader(f"{name}.{key}", item.get(key)) for key, reader in _ATTACHMENT_READERS.items()}
        for item in read_objects(name, value)
    ]


_ATTACHMENT_READERS: dict[str, Callable[[str, Any], Any]] = {
    "id": read_text,
    "filename": read_text,
    "content_type": read_text,
    "size": read_count,
    "is_inline": read_flag,
    "content_id": read_text,
    "content_disposition": read_text,
}

_READERS: dict[str, Callable[[str, Any], Any]] = {
    "id": read_text,
    "thread_id": _thread,
    "subject": read_text,
    "snippet": read_text,
    "body": _body,
    "date": read_seconds,
    "unread": read_flag,
    "starred": read_flag,
    "folders": _folders,
    "from": _people,
    "to": _people,
    "cc": _people,
    "bcc": _people,
    "reply_to": _people,
    "attachments": _attachments,
}


def identity_of(record: object) -> str | None:
    """Return the id of a record, with U+FFFD for lone surrogates and NUL, even if it cannot be read."""
    identity = record.get("id") if isinstance(record, dict) else None
    return mended(identity, nul="\ufffd") if isinstance(identity, str) and identity else None


def raw(record: object) -> str:
    """Return a record as JSON in ASCII; lists and objects are left out of one that nests too deeply."""
    try:
        return json.dumps(record)
    except RecursionError:
        fields = record if isinstance(record, dict) else {}
        return json.dumps({name: each for name, each in fields.items() if not isinstance(each, (dict, list))})


def _kind(value: object) -> str:
    names = {
        type(None): "nothing",
        str: "text",
        bool: "true or false",
        float: "a decimal number",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), "a number")
