"""Message ids as each provider shapes them: a message's number goes in, and can be read back out.

Being reversible, a single GET finds its message among 200,000 without an index. The traps are the real ones:
Google's ids repeat across grants, Microsoft's and EWS' are base64-like and some differ only in case, and the
IMAP family's are Message-IDs full of characters a URL reserves.
"""

import base64
import uuid
from collections.abc import Callable
from typing import Protocol

from mail_pipeline.simulator.seeds import stable_int

_BITS = 40
_MASK = (1 << _BITS) - 1
_ODD = 0x9E3779B97F & _MASK
_INVERSE = pow(_ODD, -1, 1 << _BITS)

IMAP_FAMILY = frozenset({"imap", "yahoo", "icloud"})


class MessageIds(Protocol):
    """The ids of one mailbox's messages."""

    def encode(self, number: int) -> str:
        """Return the id of the message with this number."""

    def decode(self, text: str) -> int | None:
        """Return the number behind an id, None where it is no id of this mailbox; compares byte for byte."""


def message_ids(provider: str, seed: int, mailbox: int) -> MessageIds:
    """Return the ids of a mailbox at this provider; unknown providers get ids like EWS'."""
    if provider == "google":
        return HexIds(seed)
    if provider in IMAP_FAMILY:
        return HeaderIds(seed, mailbox)
    return OpaqueIds(provider, seed, mailbox)


def object_ids(provider: str, seed: int, mailbox: int, kind: str) -> Callable[[int], str]:
    """Return what gives the ids of a grant's contacts, calendars or events, one kind of object a call.

    Google's repeat across grants, as an event's id does with everybody invited; Microsoft's and EWS'
    neighbours differ in case only.
    """
    if provider == "google":
        return HexIds(stable_int(seed, kind)).encode
    if provider in IMAP_FAMILY:
        return lambda number: _upper_uuid(provider, seed, mailbox, kind, number)
    return OpaqueIds(f"{provider} {kind}", seed, mailbox).encode


def _upper_uuid(*parts: str | int) -> str:
    high, low = (stable_int(*parts, half) for half in range(2))
    return str(uuid.UUID(int=high << 64 | low, version=4)).upper()


class HexIds:
    """Google's: 16 hex digits, unique within a mailbox only: two grants hold the same strings."""

    def __init__(self, seed: int) -> None:
        """Take the fleet's seed, and no mailbox: that is what makes ids repeat across grants."""
        self._offset = stable_int(seed, "hex ids") & _MASK

    def encode(self, number: int) -> str:
        """Return 16 hex digits."""
        return f"18{(number * _ODD + self._offset) & _MASK:014x}"

    def decode(self, text: str) -> int | None:
        """Return the number, None unless `text` is exactly an id `encode` gives."""
        try:
            number = ((int(text[2:], 16) - self._offset) * _INVERSE) & _MASK
        except ValueError:
            return None
        return number if self.encode(number) == text else None


class OpaqueIds:
    """Graph's and EWS': long, base64-like, case-sensitive; neighbours differ in case only."""

    _SUFFIX = "AAAA="

    def __init__(self, provider: str, seed: int, mailbox: int) -> None:
        """Take the mailbox's number in the fleet."""
        token = stable_int(provider, seed, mailbox, "opaque ids")
        self._offset = token & _MASK
        head = "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A" if provider == "microsoft" else "AAMkADk0ZjU4_"
        self._prefix = head + base64.urlsafe_b64encode(token.to_bytes(8, "big")).decode().rstrip("=") + "-"

    def encode(self, number: int) -> str:
        """Return an id of some 60 characters."""
        pair = ((number >> 1) * _ODD + self._offset) & _MASK
        token = "Q" + base64.b32encode(pair.to_bytes(5, "big")).decode()
        mixed = token[:3] + token[3:6].lower() + token[6:]
        return self._prefix + (mixed.swapcase() if number & 1 else mixed) + self._SUFFIX

    def decode(self, text: str) -> int | None:
        """Return the number, None unless `text` is exactly an id `encode` gives."""
        token = text[len(self._prefix) : -len(self._SUFFIX)]
        try:
            pair = int.from_bytes(base64.b32decode(token[1:].upper()), "big")
        except ValueError:
            return None
        number = ((((pair - self._offset) * _INVERSE) & _MASK) << 1) + token.startswith("q")
        return number if self.encode(number) == text else None


class HeaderIds:
    """The IMAP family's: the Message-ID header with its angle brackets and whatever it may hold."""

    _RESERVED = (
        "a/b",
        "plus+tag",
        "hash#1",
        "bang!",
        "x&y=z",
        "what?",
        "100%",
        "%2F",
        "%2541",
        "semi;colon",
        "a b",
        "q'uote",
        "$@*",
        "ü",
        "plain",
        "..",
    )

    def __init__(self, seed: int, mailbox: int) -> None:
        """Take the mailbox's number in the fleet."""
        self._offset = stable_int(seed, mailbox, "header ids") & _MASK

    def encode(self, number: int) -> str:
        """Return an id such as `<CAFF5ZQK2.a/b@mail.example.net>`."""
        mixed = (number * _ODD + self._offset) & _MASK
        token = base64.b32encode(mixed.to_bytes(5, "big")).decode()
        return f"<CA{token}.{self._RESERVED[number % len(self._RESERVED)]}@mail{mixed % 7}.example.net>"

    def decode(self, text: str) -> int | None:
        """Return the number, None unless `text` is exactly an id `encode` gives."""
        try:
            mixed = int.from_bytes(base64.b32decode(text[3:11]), "big")
        except ValueError:
            return None
        number = ((mixed - self._offset) * _INVERSE) & _MASK
        return number if self.encode(number) == text else None
