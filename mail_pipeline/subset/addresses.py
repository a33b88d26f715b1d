"""Addresses as keyed hashes: one address is one text everywhere, and nobody can tell whose it is."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mail_pipeline.subset.fields import KEPT_OF_PEOPLE

PREFIX = "hmac:"
"""No address begins so: a colon may not stand in one unquoted."""
_HASHED = re.compile(r"hmac:[0-9a-f]{64}(@[^@\s]*)?")


@dataclass(frozen=True, slots=True)
class Hashing:
    """How addresses are hashed: with which key, and whether the domain stays."""

    key: bytes = field(repr=False)
    keep_domains: bool

    @property
    def mark(self) -> str:
        """Return what tells this key and option from others, and nothing about the key."""
        named = hmac.digest(self.key, b"mail_pipeline: which key", "sha256").hex()[:16]
        return f"{named}{'@' if self.keep_domains else ''}"

    def address(self, text: str) -> str:
        """Return `hmac:` and the HMAC-SHA256 in hex of the address, trimmed and in lower case.

        Its domain follows after an @ where domains are kept. What is hashed already is returned as it is,
        and so is an empty address.
        """
        return _hashed(self.key, self.keep_domains, text)

    def person(self, value: Any) -> Any:
        """Return a person with a hashed address and without name; a list of people likewise.

        What has not the form of either keeps its kind and loses what it held, so that it is still told of as
        unreadable.
        """
        if isinstance(value, list):
            return [self.person(each) if isinstance(each, dict) else emptied(each) for each in value]
        if not isinstance(value, dict):
            return emptied(value)
        kept = {name: each for name, each in value.items() if name in KEPT_OF_PEOPLE}
        if "email" in kept:
            kept["email"] = self.text(kept["email"])
        return {
            name: each if isinstance(each, str) or each is None else emptied(each)
            for name, each in kept.items()
        }

    def text(self, value: Any) -> Any:
        """Return the hash of what should be an address; anything but text loses what it held."""
        return self.address(value) if isinstance(value, str) else emptied(value)


def emptied(value: Any) -> Any:
    """Return a value of the same kind that holds nothing."""
    if isinstance(value, list):
        return [emptied(each) for each in value]
    return type(value)() if isinstance(value, (str, dict, int, float)) else None


@lru_cache(maxsize=16_384)
def _hashed(key: bytes, keep_domains: bool, text: str) -> str:
    canonical = text.strip().lower()
    if not canonical or _HASHED.fullmatch(canonical):
        return canonical
    digest = hmac.digest(key, canonical.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()
    domain = canonical.rpartition("@")[2] if keep_domains and "@" in canonical else ""
    return f"{PREFIX}{digest}{'@' + domain if domain else ''}"
