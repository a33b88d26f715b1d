"""The folders and labels of generated mailboxes, per provider, and which of them a message is in."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from mail_pipeline.simulator.identifiers import IMAP_FAMILY
from mail_pipeline.simulator.seeds import stable_int

_COLOURS = ("#4a86e8", "#16a766", "#fb4c2f", "#ffad47", "#a479e2", "#2da2bb")
_USER_NAMES = (
    "Projects",
    "Projects/Alpha",
    "Travel & Expenses",
    "Sales 2024",
    "sales-2024",
    "Büro",
    "Receipts",
    "Reading, later",
)
_HOSTILE_PATHS = (
    "INBOX.Arbeit & Büro",
    "[Gmail]/All Mail",
    "Sales 2024",
    "sales-2024",
    "a/b",
    'He said "hi", twice',
    "Post 📬",
    "100% + #1?",
    "INBOX.Kept empty",
)


@dataclass(frozen=True)
class Folder:
    """A folder or label; `role` is ours (inbox, sent, trash, …, user, flag), everything else the API's."""

    id: str
    name: str
    role: str
    attributes: tuple[str, ...] = ()
    parent_id: str | None = None
    child_count: int | None = None
    system: bool | None = None
    colour: str | None = None

    def record(self, grant_id: str, total: int | None, unread: int | None) -> dict[str, Any]:
        """Return the API's Folder object; what a provider does not have is absent."""
        optional = {
            "parent_id": self.parent_id,
            "child_count": self.child_count,
            "system_folder": self.system,
            "background_color": self.colour,
            "text_color": "#ffffff" if self.colour else None,
            "total_count": total,
            "unread_count": unread,
        }
        return {
            "id": self.id,
            "grant_id": grant_id,
            "object": "folder",
            "name": self.name,
            "attributes": list(self.attributes),
            **{key: value for key, value in optional.items() if value is not None},
        }


class FolderPlan:
    """The folders of one mailbox and the rule that files messages into them."""

    def __init__(self, provider: str, folders: Sequence[Folder]) -> None:
        """Take the folders in the order the API lists them."""
        self.provider = provider
        self.folders = tuple(folders)
        self._role: Mapping[str, str] = {folder.role: folder.id for folder in reversed(self.folders)}
        kept = [f.id for f in self.folders if f.role == "user" and not f.name.endswith("Kept empty")]
        self._user = kept or [self._role["inbox"]]

    def place(
        self, *, sent: bool, bulk: bool, topic: int, unread: bool, starred: bool, random: Random
    ) -> tuple[str, ...]:
        """Return the ids of the folders a message is in.

        `bulk` is newsletters and notices; `topic` keeps a conversation's messages under the same user folder.
        """
        draw = random.random()
        user = self._user[topic % len(self._user)]
        if self.provider == "google":
            return self._labels(sent, bulk, user if topic % 3 == 0 else None, unread, starred, draw)
        if sent:
            place = self._role["drafts"] if draw < 0.01 else self._role["sent"]
        elif draw < 0.02:
            place = self._role["junk"]
        elif draw < 0.05:
            place = self._role["trash"]
        elif draw < 0.25:
            place = self._role["archive"]
        else:
            place = user if draw < 0.5 else self._role["inbox"]
        if self.provider in IMAP_FAMILY and place != user and random.random() < 0.12:
            return (place, user)
        return (place,)

    def _labels(
        self, sent: bool, bulk: bool, user: str | None, unread: bool, starred: bool, draw: float
    ) -> tuple[str, ...]:
        labels = ["UNREAD"] if unread else []
        if draw < 0.02:
            labels.append("TRASH" if draw < 0.015 else "SPAM")
        elif sent:
            labels.append("SENT")
        else:
            labels.append(
                ("CATEGORY_PROMOTIONS" if draw < 0.5 else "CATEGORY_UPDATES") if bulk else "CATEGORY_PERSONAL"
            )
            if draw > 0.4:
                labels.append("INBOX")
            if draw > 0.8 and not bulk:
                labels.append("IMPORTANT")
        if starred:
            labels.append("STARRED")
        if user is not None:
            labels.append(user)
        return tuple(labels)


def folder_plan(provider: str, seed: int, mailbox: int, user_folders: int) -> FolderPlan:
    """Return the folders of a mailbox at this provider, `user_folders` of them its owner's own."""
    if provider == "google":
        return FolderPlan(provider, _google(user_folders))
    if provider in IMAP_FAMILY:
        return FolderPlan(provider, _imap(provider, user_folders))
    return FolderPlan(provider, _tree(stable_int(provider, seed, mailbox, "folders"), user_folders))


def new_folder(
    provider: str, name: str, number: int, *, parent_id: str | None, beside: Sequence[Folder]
) -> Folder:
    """Return a folder of the owner's, shaped as this provider's are; `number` makes its id another.

    `beside` are the mailbox's folders. The IMAP family's ids are paths, so they follow from the name.
    """
    if provider == "google":
        return Folder(f"Label_{1000 + number}", name, "user", system=False, colour=_COLOURS[number % 6])
    if provider in IMAP_FAMILY:
        return Folder(name if parent_id is None else f"{parent_id}.{name}", name, "user")
    token = stable_int("new folder", *(folder.id for folder in beside[:1]), number)
    root = next((folder.parent_id for folder in beside if folder.role == "inbox"), None)
    return Folder(_opaque(token, number), name, "user", (), root if parent_id is None else parent_id, 0)


def _user_name(index: int) -> str:
    return _USER_NAMES[index] if index < len(_USER_NAMES) else f"Matter {index:03d}"


def _google(user_folders: int) -> list[Folder]:
    attributes = {
        "INBOX": r"\Inbox",
        "SENT": r"\Sent",
        "DRAFT": r"\Drafts",
        "TRASH": r"\Trash",
        "SPAM": r"\Junk",
    }
    roles = {"INBOX": "inbox", "SENT": "sent", "DRAFT": "drafts", "TRASH": "trash", "SPAM": "junk"}
    system = [
        *attributes,
        *("UNREAD", "STARRED", "IMPORTANT"),
        *(f"CATEGORY_{name}" for name in ("PERSONAL", "SOCIAL", "PROMOTIONS", "UPDATES", "FORUMS")),
    ]
    return [
        *(
            Folder(
                name,
                name,
                roles.get(name, "flag"),
                (attributes[name],) if name in attributes else (),
                system=True,
            )
            for name in system
        ),
        *(
            Folder(
                f"Label_{index + 1}",
                _user_name(index),
                "user",
                system=False,
                colour=_COLOURS[index % len(_COLOURS)],
            )
            for index in range(user_folders)
        ),
    ]


def _opaque(token: int, index: int) -> str:
    raw = token.to_bytes(8, "big") + index.to_bytes(4, "big")
    return "AAMkAGYw" + base64.urlsafe_b64encode(raw * 2).decode().rstrip("=") + "AAA="


def _tree(token: int, user_folders: int) -> list[Folder]:
    """Microsoft's and EWS': opaque ids, parents (of which the root is never listed) and child counts."""

    root = _opaque(token, 0)
    special = (
        ("Inbox", "inbox", r"\Inbox"),
        ("Sent Items", "sent", r"\Sent"),
        ("Drafts", "drafts", r"\Drafts"),
        ("Deleted Items", "trash", r"\Trash"),
        ("Junk Email", "junk", r"\Junk"),
        ("Archive", "archive", r"\Archive"),
    )
    folders = [
        Folder(_opaque(token, index), name, role, (attribute,), root, 0)
        for index, (name, role, attribute) in enumerate(special, 1)
    ]
    for index in range(user_folders):
        # The first lies in the inbox, the second in the first, the rest beside the inbox.
        parent = folders[0].id if index == 0 else folders[-1].id if index == 1 else root
        name = _user_name(index).rpartition("/")[2]
        folders.append(Folder(_opaque(token, 100 + index), name, "user", (), parent, 0))
    children = [folder.parent_id for folder in folders]
    return [replace(folder, child_count=children.count(folder.id)) for folder in folders]


def _imap(provider: str, user_folders: int) -> list[Folder]:
    special = {
        "imap": ("INBOX", "INBOX.Sent", "INBOX.Drafts", "INBOX.Trash", "INBOX.Junk", "INBOX.Archive"),
        "yahoo": ("Inbox", "Sent", "Draft", "Trash", "Bulk", "Archive"),
        "icloud": ("INBOX", "Sent Messages", "Drafts", "Deleted Messages", "Junk", "Archive"),
    }[provider]
    roles = ("inbox", "sent", "drafts", "trash", "junk", "archive")
    hostile = _HOSTILE_PATHS if provider == "imap" else _HOSTILE_PATHS[2:]
    paths = [hostile[i] if i < len(hostile) else f"Matter {i:03d}" for i in range(user_folders)]
    return [
        *(
            Folder(path, path.removeprefix("INBOX."), role, (f"\\{role.capitalize()}",))
            for path, role in zip(special, roles, strict=True)
        ),
        *(
            Folder(path, path.removeprefix("INBOX."), "user", (r"\All",) if path.endswith("All Mail") else ())
            for path in paths
        ),
    ]
