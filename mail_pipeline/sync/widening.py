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
    """What is wanted of a mailbox. `folders` gives the grant's folders where their rules matter."""

    subset: Subset
    folders: Callable[[], Iterable[Mapping[str, Any]]] = tuple
    only: str | None = None
    """The one folder that is wanted of a mailbox listed in one pass."""

    @property
    def since(self) -> int | None:
        """Return the oldest date wanted, in unix seconds."""
        return self.subset.since

    @property
    def described(self) -> str | None:
        """Return what is left out, as a checkpoint records it."""
        return self.subset.describe()

    def missing(self, before: str | None) -> Missing:
        """Return what a mailbox lacks that was listed when this was left out; its date is not looked at."""
        if before == self.described:
            return Missing()
        then = json.loads(before) if before else {}
        searched = then.get("search")
        if searched is not None and searched != self.subset.search:
            return Missing(everything=True)
        steps = []
        if fields := self._fields(then):
            steps.append(Step(fields=fields))
        rules = FolderRules(tuple(then.get("folders", ())), tuple(then.get("exclude_folders", ())))
        if rules != self.subset.folders and self.subset.provider not in IMAP_FAMILY:
            if rules.wanted and not self.subset.folders.wanted:
                # Mail without any label is wanted now, and in no folder's list.
                return Missing(everything=True)
            added = self._folders(rules)
            if len(added) > _LISTS_AT_MOST:
                return Missing(everything=True)
            steps += [Step(folder=folder) for folder in added]
        return Missing(steps=tuple(steps))

    def _fields(self, then: Mapping[str, Any]) -> tuple[str, ...]:
        kept = [name for name in KINDS["message"].fields if self.subset.keeps("message", name)]
        added = set(then.get("left_out", ()))
        hashing = self.subset.hashing
        if then.get("hashing") is not None and (hashing is None or hashing.mark != then["hashing"]):
            # Hashes of another key tell nothing beside those of this one.
            added |= KINDS["message"].people
        return tuple(name for name in kept if name in added)

    def _folders(self, before: FolderRules) -> list[str]:
        rows = list(self.folders())
        then, now = before.standings(rows), self.subset.folders.standings(rows)
        order = (Standing.EXCLUDED, Standing.NOT_ASKED_FOR, Standing.WANTED)
        return sorted(folder for folder in now if order.index(now[folder]) > order.index(then[folder]))


def steps_text(steps: Iterable[Step]) -> str | None:
    """Return steps as a checkpoint keeps them; None for none."""
    told = [{"fields": list(each.fields), "folder": each.folder} for each in steps]
    return json.dumps(told) if told else None


def read_steps(text: str | None) -> tuple[Step, ...]:
    """Return the steps that a checkpoint keeps."""
    return tuple(Step(tuple(each["fields"]), each["folder"]) for each in json.loads(text or "[]"))
