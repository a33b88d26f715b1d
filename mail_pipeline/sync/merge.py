"""What an observation does to a record, be it a message or an event: the rules by which order is irrelevant.

A `RecordState` is what is known of one record. It takes in observations in any order, any number of
times, and always ends as if they had come in the order of their times:

- each field has its own time, and the newest observation that carries the field wins it;
- a field an observation does not carry is left alone: absent is not empty;
- a deletion holds until a newer observation shows the record again;
- a whole folder list replaces the folders, a folder pass adds or takes away its one folder; two whole lists
  of one second are united.

Times are whole unix seconds of the provider's clock. Two observations of one second that disagree are
settled the same way in every order, and named in `disputed`, so that the caller can fetch the record.
"""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Observation:
    """Some fields of a record, as of a time.

    `fields` has the API's names and read values. Where `folder` is given the observation is one folder's
    own listing: it tells of that folder and not of the others. With `gone` it says that the record no longer
    exists, and nothing else.
    """

    id: str
    at: int
    fields: dict[str, Any] = field(default_factory=dict)
    folder: str | None = None
    gone: bool = False
    within: str = ""
    """The calendar of an event; empty where the id alone names the object in its grant."""


@dataclass(slots=True)
class RecordState:
    """What is known of one record, and as of when."""

    id: str
    fields: dict[str, Any] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    observed_at: int = 0
    """Time of the newest observation that showed the record."""
    folder_times: dict[str, int] = field(default_factory=dict)
    """Folders seen by folder passes, at a positive time; folders whose pass missed it, at a negative one."""
    deleted_at: int | None = None
    disputed: set[str] = field(default_factory=set)

    @classmethod
    def first(cls, observation: Observation) -> "RecordState":
        """Return what is known after the first observation; the same as `observe` on an empty state."""
        folder_times = {} if observation.folder is None else {observation.folder: observation.at}
        return cls(
            observation.id,
            observation.fields,
            dict.fromkeys(observation.fields, observation.at),
            observation.at,
            folder_times,
        )

    @property
    def deleted(self) -> bool:
        """Tell whether nothing has shown the message since its deletion."""
        return self.deleted_at is not None and self.deleted_at >= self.observed_at

    @property
    def folders(self) -> list[str]:
        """Return the ids of the folders it is in, sorted."""
        found = set(self.fields.get("folders") or ())
        for folder, moment in self.folder_times.items():
            (found.add if moment > 0 else found.discard)(folder)
        return sorted(found)

    def observe(self, observation: Observation) -> None:
        """Take in one observation."""
        if observation.gone:
            self.delete(observation.at)
            return
        self.observed_at = max(self.observed_at, observation.at)
        self._dispute_existence(observation.at)
        for name, value in observation.fields.items():
            self._observe_field(name, value, observation.at)
        if observation.folder is not None:
            self._observe_folder(observation.folder, observation.at)

    def miss(self, folder: str, at: int) -> None:
        """Take in that a complete pass of a folder, begun at `at`, did not see the message there."""
        self._observe_folder(folder, -at)

    def delete(self, at: int) -> None:
        """Take in that the message was gone at `at`."""
        self.deleted_at = at if self.deleted_at is None else max(self.deleted_at, at)
        self._dispute_existence(at)

    def _dispute_existence(self, at: int) -> None:
        if self.deleted_at != self.observed_at:
            self.disputed.discard("id")
        elif at == self.deleted_at:
            self.disputed.add("id")

    def _observe_field(self, name: str, value: Any, at: int) -> None:
        known = self.times.get(name)
        if known is not None and at < known:
            return
        if at == known:
            standing = self.fields[name]
            if _rank(value) == _rank(standing):
                return
            self.disputed.add(name)
            if name == "folders":
                # The list that stands may lack what a newer pass took away: only a union forgets nothing.
                value = sorted({*standing, *value})
            elif _rank(value) < _rank(standing):
                return
        else:
            self.disputed.discard(name)
        self.fields[name] = value
        self.times[name] = at
        if name == "folders":
            self.folder_times = {
                folder: moment for folder, moment in self.folder_times.items() if abs(moment) >= at
            }

    def _observe_folder(self, folder: str, moment: int) -> None:
        if abs(moment) < self.times.get("folders", 0):
            return
        known = self.folder_times.get(folder, 0)
        # In one second "seen" beats "missed": the larger of the two signed times.
        self.folder_times[folder] = max(known, moment, key=lambda each: (abs(each), each))


def _rank(value: object) -> str:
    return json.dumps(value, default=repr, sort_keys=True)
