"""Where a mailbox's messages may be put."""

from collections.abc import Sequence
from typing import Any

from mail_pipeline.simulator.folders import Folder
from mail_pipeline.simulator.live import LiveMailbox

_FLAG_LABELS = ("UNREAD", "STARRED")


def inbox(mailbox: LiveMailbox) -> str:
    """Return the id of the inbox, else of the first folder; raises ValueError where there is none."""
    if not mailbox.folders:
        raise ValueError(f"grant {mailbox.grant.id} has no folders")
    return next((folder.id for folder in mailbox.folders if folder.role == "inbox"), mailbox.folders[0].id)


def checked(mailbox: LiveMailbox, folders: Sequence[str]) -> list[str]:
    """Return the ids once each; raises ValueError where one is no folder of the mailbox."""
    return [mailbox.folder(folder_id).id for folder_id in dict.fromkeys(folders)]


def own(mailbox: LiveMailbox, folder_id: str) -> Folder:
    """Return a folder of the owner's; raises ValueError where it is another's or not there."""
    folder = mailbox.folder(folder_id)
    if folder.role != "user":
        raise ValueError(f"folder {folder_id!r} belongs to the provider")
    return folder


def inside(mailbox: LiveMailbox, folder_id: str) -> list[dict[str, Any]]:
    """Return all messages in a folder, oldest first."""
    numbers = (number for number in range(len(mailbox)) if folder_id in mailbox.folders_of(number))
    return [mailbox.message(number) for number in numbers]


def labelled(mailbox: LiveMailbox, folders: Sequence[str], unread: bool, starred: bool) -> list[str]:
    """Return the folders, at Google with the two labels that say what the flags say."""
    if not any(folder.id == "UNREAD" and folder.role == "flag" for folder in mailbox.folders):
        return list(folders)
    kept = [folder for folder in folders if folder not in _FLAG_LABELS]
    return ["UNREAD"] * unread + kept + ["STARRED"] * starred
