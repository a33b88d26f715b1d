"""Which folders are wanted: by role, or by a pattern of their name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any

ROLE = "role:"
ROLES = ("inbox", "sent", "drafts", "trash", "junk", "archive", "all", "starred", "important")
"""What a folder may be for, as the table `folders` tells it."""

GOOGLE_ROLES = {
    "INBOX": "inbox",
    "SENT": "sent",
    "DRAFT": "drafts",
    "TRASH": "trash",
    "SPAM": "junk",
    "STARRED": "starred",
    "IMPORTANT": "important",
}
"""Roles of Google's labels, by the ids they have in every account."""


class Standing(Enum):
    """Where a folder stands under the rules."""

    WANTED = "wanted"
    NOT_ASKED_FOR = "not asked for"
    """Others are named as wanted, this one is not."""
    EXCLUDED = "excluded"


@dataclass(frozen=True, slots=True)
class FolderRules:
    """The patterns of folders that are in and out; no pattern that lets in lets in all."""

    wanted: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there is any rule."""
        return bool(self.wanted or self.excluded)

    @property
    def by_role(self) -> bool:
        """Tell whether all of its rules go by role."""
        return all(pattern.startswith(ROLE) for pattern in (*self.wanted, *self.excluded))

    def standing(self, names: Iterable[str | None], role: str | None) -> Standing:
        """Return where a folder with these names (its own, its path) and role stands."""
        known = [name for name in names if name]
        if _matches(self.excluded, known, role):
            return Standing.EXCLUDED
        if self.wanted and not _matches(self.wanted, known, role):
            return Standing.NOT_ASKED_FOR
        return Standing.WANTED

    def standings(self, folders: Iterable[Mapping[str, Any]]) -> dict[str, Standing]:
        """Return where each of a grant's folders stands, by id; each has id, name, role and parent_id.

        Where the provider nests folders, a name may also be the whole path, with slashes between.
        """
        rows = {row["id"]: row for row in folders}
        return {
            identity: self.standing((row["name"], _path(rows, row)), row["role"])
            for identity, row in rows.items()
        }


def _matches(patterns: Iterable[str], names: Iterable[str], role: str | None) -> bool:
    for pattern in patterns:
        if pattern.startswith(ROLE):
            if role == pattern.removeprefix(ROLE):
                return True
        elif any(fnmatchcase(name.casefold(), pattern.casefold()) for name in names):
            return True
    return False


def _path(rows: Mapping[str, Mapping[str, Any]], row: Mapping[str, Any]) -> str:
    chain = [row]
    while (above := rows.get(chain[-1].get("parent_id") or "")) is not None and above not in chain:
        chain.append(above)
    return "/".join(each["name"] or "" for each in reversed(chain))
