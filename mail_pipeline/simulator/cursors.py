"""Opaque cursors: they hold where the list goes on, and open only for the parameters they were given for."""

import base64
import struct
from dataclasses import dataclass
from hashlib import blake2b

from mail_pipeline.simulator.problems import bad_cursor

_POSITION = struct.Struct(">qBI")
_SEAL = 10


@dataclass(frozen=True)
class Position:
    """Where a list goes on."""

    next: int
    """What to look at next: a place in a list of folders, a serial in one of messages."""
    after_empty_page: bool = False
    """The page before was served empty; tells its cursor from this one."""


class Cursors:
    """Seals and opens cursors; needs no memory, so a restarted simulator still knows its cursors."""

    def __init__(self, secret: str, lifetime: float | None = None) -> None:
        """Take what seals them, and how many seconds they live, None for ever."""
        self._secret = blake2b(secret.encode(), digest_size=16).digest()
        self._lifetime = lifetime

    def seal(self, position: Position, binding: str, now: float) -> str:
        """Return the cursor for a position in the list that `binding` (path and parameters) names."""
        issued = 0 if self._lifetime is None else int(now * 10) & 0xFFFFFFFF
        raw = _POSITION.pack(position.next, position.after_empty_page, issued)
        return base64.urlsafe_b64encode(raw + self._sign(raw, binding)).decode().rstrip("=")

    def open(self, token: str, binding: str, now: float) -> Position:
        """Return the position; raises the API's 400 for garbage, another list's cursor, or an old one."""
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars="-_", validate=True)
        except ValueError:
            raise bad_cursor() from None
        raw, seal = raw[: _POSITION.size], raw[_POSITION.size :]
        if len(raw) < _POSITION.size or seal != self._sign(raw, binding):
            raise bad_cursor()
        following, after_empty_page, issued = _POSITION.unpack(raw)
        age = ((int(now * 10) & 0xFFFFFFFF) - issued) / 10
        if self._lifetime is not None and not 0 <= age <= self._lifetime:
            raise bad_cursor()
        return Position(following, bool(after_empty_page))

    def _sign(self, raw: bytes, binding: str) -> bytes:
        return blake2b(raw + binding.encode(), key=self._secret, digest_size=_SEAL).digest()
