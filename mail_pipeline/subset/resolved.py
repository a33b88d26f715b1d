"""What of one grant is wanted: the file's settings come to an end in a frozen `Subset`."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mail_pipeline.subset.addresses import Hashing
from mail_pipeline.subset.fields import CHOOSABLE, KINDS, LIKE_MESSAGES, Kind
from mail_pipeline.subset.folders import FolderRules, Standing

STREAMS = ("messages", "threads", "contacts", "calendars", "events")

_COPIES = frozenset({"imap", "yahoo", "icloud"})
"""Providers where a message in two folders is two copies; elsewhere its folders are labels, or one."""


@dataclass(frozen=True)
class Subset:
    """What of one grant is mirrored. Pure: it asks nobody, and the same settings give an equal one."""

    provider: str = ""
    off: frozenset[str] = frozenset()
    """Streams that are not wanted."""
    left_out: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Fields that are not wanted, by kind; kinds of which everything is wanted are not there."""
    folders: FolderRules = field(default_factory=FolderRules)
    since: int | None = None
    """Unix seconds; older mail is not wanted."""
    search: str | None = None
    """A search in the provider's own language: only what it finds is wanted."""
    hashing: Hashing | None = None

    @property
    def everything(self) -> bool:
        """Tell whether nothing at all is left out or changed."""
        return self == Subset(self.provider)

    def wants(self, stream: str) -> bool:
        """Tell whether a stream is wanted, by its name in the file or in checkpoints (provider_threads)."""
        return stream.removeprefix("provider_") not in self.off

    def keeps(self, kind: str, name: str) -> bool:
        """Tell whether a field of a kind of object (message, contact, calendar, event, thread) is kept."""
        return kind not in self.left_out or (name in KINDS[kind].fields and name not in self.left_out[kind])

    def select(self, kind: str) -> tuple[str, ...]:
        """Return the fields of a kind to ask the API for; empty where everything is wanted."""
        if kind not in self.left_out:
            return ()
        return tuple(name for name in KINDS[kind].fields if name not in self.left_out[kind])

    def message_select(self) -> tuple[str, ...]:
        """Return the fields of messages to ask the API for; empty where everything is wanted."""
        return self.select("message")

    def strip(self, kind: str, record: Any) -> Any:
        """Return a record of the API without what is not wanted, with its addresses hashed where asked for.

        Nothing is changed in the record given. What is no object at all becomes None once anything of its
        kind is left out: nobody can say what it holds. Stripping what is stripped changes nothing.
        """
        if kind not in KINDS or (kind not in self.left_out and self.hashing is None):
            return record
        if not isinstance(record, dict):
            return None
        kept = {name: value for name, value in record.items() if self.keeps(kind, name)}
        inner = "latest_draft_or_message"
        if kind == "thread" and inner in kept:
            kept[inner] = self.strip("message", kept[inner])
        return kept if self.hashing is None else _hashed(KINDS[kind], kept, self.hashing)

    def keeps_message(
        self, record: Any, standing: Callable[[str], Standing], *, listed_in: str | None = None
    ) -> bool:
        """Tell whether a message is wanted, by its date and folders; a record without them is.

        `listed_in` is the folder whose own list shows it, where folders hold copies. A label or folder that
        is excluded excludes what is in it, except a copy that lies in another folder as well.
        """
        if not isinstance(record, dict):
            return True
        date = record.get("date")
        if self.since is not None and type(date) is int and date < self.since:
            return False
        found = record.get("folders")
        if not self.folders or listed_in is not None or not isinstance(found, list):
            return True
        return self.keeps_in(found, standing)

    def keeps_in(self, folders: Iterable[Any], standing: Callable[[str], Standing]) -> bool:
        """Tell whether a message in these folders (and no others) is wanted."""
        standings = {standing(each) for each in folders if isinstance(each, str)}
        if self.provider in _COPIES:
            return Standing.WANTED in standings or (not standings and not self.folders.wanted)
        if Standing.EXCLUDED in standings:
            return False
        return not self.folders.wanted or Standing.WANTED in standings

    def only_wanted(self, record: Any, standing: Callable[[str], Standing]) -> Any:
        """Return a message without the folders that are not wanted, where folders hold copies."""
        if not self.folders or self.provider not in _COPIES or not isinstance(record, dict):
            return record
        found = record.get("folders")
        if not isinstance(found, list):
            return record
        wanted = [each for each in found if not isinstance(each, str) or standing(each) is Standing.WANTED]
        return {**record, "folders": wanted}

    def describe(self, kind: str = "message") -> str | None:
        """Return a stable text that says all that decides which objects of a kind are stored, and how.

        None where nothing is left out. It holds no key: two hashings are told apart by a mark.
        """
        said: dict[str, Any] = {
            "left_out": sorted(self.left_out.get(kind, ())),
            "hashing": None if self.hashing is None else self.hashing.mark,
        }
        if kind == "message":
            said |= {
                "folders": list(self.folders.wanted),
                "exclude_folders": list(self.folders.excluded),
                "since": self.since,
                "search": self.search,
            }
        said = {name: value for name, value in said.items() if value not in (None, [])}
        return json.dumps(said, sort_keys=True) if said else None


@dataclass(frozen=True)
class Subsets:
    """The settings of the whole file: for all, by provider, and by grant."""

    general: Mapping[str, Any] = field(default_factory=dict)
    providers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    grants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    key: bytes = field(default=b"", repr=False)
    """With which addresses are hashed."""

    @property
    def everything(self) -> bool:
        """Tell whether every grant is wanted whole."""
        return not (self.general or self.providers or self.grants)

    def settings(self, grant_id: str | None, provider: str) -> dict[str, Any]:
        """Return each key that is set for a grant: said of it, else of its provider, else of all."""
        return {
            **self.general,
            **self.providers.get(provider, {}),
            **self.grants.get(grant_id or "", {}),
        }

    def of(self, grant_id: str, provider: str) -> Subset:
        """Return what of a grant is wanted."""
        return self._resolved(self.settings(grant_id, provider), provider)

    def strictest(self, grant_id: str | None) -> Subset:
        """Return what is wanted of a grant whose provider is not known: what every provider's rules let in.

        Only its fields and its hashing say anything.
        """
        found = [
            self._resolved(self.settings(grant_id, provider), provider) for provider in ("", *self.providers)
        ]
        kinds = {kind for each in found for kind in each.left_out}
        left_out = {
            kind: frozenset[str]().union(*(each.left_out.get(kind, ()) for each in found)) for kind in kinds
        }
        hashing = next((each.hashing for each in found if each.hashing is not None), None)
        return Subset(left_out=left_out, hashing=hashing)

    def _resolved(self, rules: Mapping[str, Any], provider: str) -> Subset:
        hashing = None
        if rules.get("hash_addresses"):
            hashing = Hashing(self.key, bool(rules.get("keep_domains", False)))
        left_out = {kind: _left_out(kind, rules, hashing is not None) for kind in KINDS}
        return Subset(
            provider=provider,
            off=frozenset(stream for stream in STREAMS if rules.get(stream) is False),
            left_out={kind: names for kind, names in left_out.items() if names},
            folders=FolderRules(tuple(rules.get("folders", ())), tuple(rules.get("exclude_folders", ()))),
            # No mail is older than that, and the API takes no bound before it.
            since=max(rules.get("since") or 0, 0) or None,
            search=rules.get("search"),
            hashing=hashing,
        )


EVERYTHING = Subsets()


def _left_out(kind: str, rules: Mapping[str, Any], hashed: bool) -> frozenset[str]:
    found = set(rules.get(f"exclude_{kind}_fields", ()) if kind in CHOOSABLE else ())
    if kind == "message":
        only = rules.get("message_fields")
        if only is not None:
            found |= set(KINDS[kind].fields) - set(only)
        switches = {"bodies": "body", "snippets": "snippet", "attachments": "attachments"}
        found |= {name for switch, name in switches.items() if rules.get(switch) is False}
    if kind == "thread":
        lacking = _left_out("message", rules, hashed=False)
        found |= {name for name, needed in LIKE_MESSAGES.items() if lacking.intersection(needed)}
    if hashed:
        found |= KINDS[kind].telling
    return frozenset(found - KINDS[kind].always)


def _hashed(kind: Kind, record: dict[str, Any], hashing: Hashing) -> dict[str, Any]:
    return {
        name: hashing.person(value)
        if name in kind.people
        else hashing.text(value)
        if name in kind.addresses and value is not None
        else value
        for name, value in record.items()
    }
