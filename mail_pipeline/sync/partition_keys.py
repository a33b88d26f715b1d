"""Partition keys: `GRANT`, `GRANT/FOLDER` and `GRANT/@recent`.

The alphabet is what Dagster takes unquoted wherever a partition can be named.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

RECENT = "@recent"
"""Stands for the plain list of a grant whose old mail is reached folder by folder: its last 90 days."""

_UNSAFE = re.compile(r"[^-a-zA-Z0-9_:]+")
_KEY = re.compile(r"[-a-zA-Z0-9_:@]+(/[-a-zA-Z0-9_:@]+)?")
_LONGEST = 48
NO_KEY = "no partition can have its key: a grant's id may hold only letters, digits and - _ : @"
"""Why a mailbox cannot be backfilled, nor a grant be mirrored."""


def is_partition_key(key: str, grant_id: str) -> bool:
    """Tell whether a text can be the partition key of a grant or of one of its folders."""
    return _KEY.fullmatch(key) is not None and split(key)[0] == grant_id


def partition_key(grant_id: str, slug: str | None = None) -> str:
    """Return the key of a grant, or of one of its folders by its slug."""
    return grant_id if slug is None else f"{grant_id}/{slug}"


def split(key: str) -> tuple[str, str | None]:
    """Return the grant and the slug, None for a key without one."""
    grant_id, _, slug = key.partition("/")
    return grant_id, slug or None


def slug(folder_id: str, name: str, taken: Iterable[str]) -> str:
    """Return a readable slug for a folder that differs, in any case, from those taken in its grant.

    The same folder gets the same slug again as long as the ones before it have theirs.
    """
    # "Entwürfe" reads better as Entwurfe than with its ü cut out.
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    readable = _UNSAFE.sub("-", plain).strip("-")[:_LONGEST].strip("-")
    in_use = {each.lower() for each in taken}
    digest = hashlib.sha256(folder_id.encode("utf-8", "surrogatepass")).hexdigest()
    candidates = [readable] if readable else []
    candidates += [f"{readable or 'folder'}-{digest[:length]}" for length in (6, 12, 64)]
    return next(each for each in candidates if each.lower() not in in_use)
