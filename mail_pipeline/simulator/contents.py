"""The bytes of made-up files: they follow from the grant and the attachment, in any order, on any machine."""

from collections.abc import Mapping
from hashlib import shake_128
from typing import Any

from mail_pipeline.simulator.seeds import stable_int


def made_up_bytes(provider: str, attachment: Mapping[str, Any]) -> bytes:
    """Return an attachment's bytes: at Google as many as its message says, elsewhere a little fewer."""
    grant_id, identity, told = attachment.get("grant_id", ""), attachment["id"], attachment.get("size", 0)
    size = told if provider == "google" else told - stable_int(grant_id, identity, "size") % (told // 50 + 1)
    return shake_128(f"{grant_id}\x1f{identity}".encode()).digest(size)
