"""What a mailbox lacks once more is wanted of it than when it was listed: only that is fetched."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mail_pipeline.nylas.pacing import IMAP_FAMILY
from mail_pipeline.subset import Subset
from mail_pipeline.subset.fields import KINDS
from mail_pipeline.subset.folders import FolderRules, Standing

_LISTS_AT_MOST = 5
"""So many folders are listed one by one; for more of them one list of the whole mailbox costs less."""


@dataclass(frozen=True, slots=True)
class Step:
    """One more list of a mailbox: of all its mail some fields, or of one folder all."""

    fields: tuple[str, ...] = ()
    folder: str | None = None

    @property
    def select(self) -> tuple[str, ...]:
        """Return the fields to ask for, with those that tell whether a message is wanted; empty for all."""
        return ("id", "date", "folders", *self.fields) if self.fields else ()


@dataclass(frozen=True, slots=True)
class Missing:
    """What is missing: all that a new list of the whole mailbox brings, or some steps, or nothing."""

    everything: bool = False
    steps: tuple[Step, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether anything is."""
        return self.everything or bool(self.steps)


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted of a mailbox, or of a list of another kind.

    `folders` gives the grant's folders where their rules matter.
    """

    subset: Subset
    folders: Callable[[], Iterable[Mapping[str, Any]]] = tuple
    only: str | None = None
    """The one folder that is wanted of a mailbox listed in one pass."""
    kind: str = "message"
    """What one of the objects is called."""

    @property
    def since(self) -> int | None:
        """Return the oldest date wanted, in unix seconds; of anything but mail all dates are."""
        return self.subset.since if self.kind == "message" else None

    @property
    def described(self) -> str | None:
        """Return what is left out, as a checkpoint records it."""
        return self.subset.describe(self.kind)

    def missing(self, before: str | None) -> Missing:
        """Return what a list lacks that was made when this was left out; its date is not looked at.

        `before` may say of several occasions what was left out, a line for each: what any of them left out
        is lacking.
        """
        if before == self.described:
            return Missing()
        fields: set[str] = set()
        folders: set[str] = set()
        for then in map(json.loads, _lines(before)):
            if self._is_all_new(then):
                return Missing(everything=True)
            fields |= self._fields(then)
            folders |= self._folders(then)
        if fields and self.kind != "message":
            return Missing(everything=True)
        if len(folders) > _LISTS_AT_MOST:
            return Missing(everything=True)
        added = tuple(name for name in KINDS["message"].fields if name in fields)
        steps = [Step(fields=added)] if added else []
        return Missing(steps=(*steps, *(Step(folder=folder) for folder in sorted(folders))))

    def lacking(self, before: str | None) -> str | None:
        """Return, as a checkpoint records it, what was left out before, and what is left out now as well."""
        if self.described is None:
            return before
        # What is not wanted now either need not be said twice.
        kept = [line for line in _lines(before) if line != self.described and self.missing(line)]
        return "\n".join(sorted([*kept, self.described]))

    def _is_all_new(self, then: Mapping[str, Any]) -> bool:
        searched = then.get("search")
        if searched is not None and searched != self.subset.search:
            return True
        # Mail without any label is wanted now, and in no folder's list.
        by_folder = self.subset.provider in IMAP_FAMILY
        return bool(not by_folder and _rules(then).wanted and not self.subset.folders.wanted)

    def _fields(self, then: Mapping[str, Any]) -> set[str]:
        added = set(then.get("left_out", ()))
        hashing = self.subset.hashing
        if then.get("hashing") is not None and (hashing is None or hashing.mark != then["hashing"]):
            # Hashes of another key tell nothing beside those of this one.
            added |= KINDS[self.kind].people | KINDS[self.kind].addresses
        return {name for name in added if self.subset.keeps(self.kind, name)}

    def _folders(self, before: Mapping[str, Any]) -> set[str]:
        rules = _rules(before)
        one_list = self.kind == "message" and self.subset.provider not in IMAP_FAMILY
        if rules == self.subset.folders or not one_list:
            return set()
        rows = list(self.folders())
        then, now = rules.standings(rows), self.subset.folders.standings(rows)
        order = (Standing.EXCLUDED, Standing.NOT_ASKED_FOR, Standing.WANTED)
        return {folder for folder in now if order.index(now[folder]) > order.index(then[folder])}


def _lines(described: str | None) -> list[str]:
    return (described or "").splitlines()


def _rules(then: Mapping[str, Any]) -> FolderRules:
    return FolderRules(tuple(then.get("folders", ())), tuple(then.get("exclude_folders", ())))


def steps_text(steps: Iterable[Step]) -> str | None:
    """Return steps as a checkpoint keeps them; None for none."""
    told = [{"fields": list(each.fields), "folder": each.folder} for each in steps]
    return json.dumps(told) if told else None


def read_steps(text: str | None) -> tuple[Step, ...]:
    """Return the steps that a checkpoint keeps."""
    return tuple(Step(tuple(each["fields"]), each["folder"]) for each in json.loads(text or "[]"))
