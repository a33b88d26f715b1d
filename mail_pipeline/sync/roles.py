"""What a folder is for, told by its attributes, its provider's fixed ids, or its name."""

from collections.abc import Iterable

from mail_pipeline.subset.folders import GOOGLE_ROLES
from mail_pipeline.sync.role_names import NAMES

_BY_ATTRIBUTE = {
    "\\inbox": "inbox",
    "\\sent": "sent",
    "\\drafts": "drafts",
    "\\trash": "trash",
    "\\junk": "junk",
    "\\spam": "junk",
    "\\archive": "archive",
    "\\all": "all",
    "\\flagged": "starred",
    "\\important": "important",
}
_BY_NAME = {name: role for role, names in NAMES.items() for name in names.split(", ")} | {
    "inbox": "inbox",
    "sent": "sent",
    "sent items": "sent",
    "sent mail": "sent",
    "sent messages": "sent",
    "drafts": "drafts",
    "trash": "trash",
    "deleted items": "trash",
    "deleted messages": "trash",
    "junk": "junk",
    "junk email": "junk",
    "junk e-mail": "junk",
    "spam": "junk",
    "bulk mail": "junk",
    "archive": "archive",
    "all mail": "all",
}


def folder_role(provider: str, folder_id: str, name: str | None, attributes: Iterable[str]) -> str | None:
    """Return the role of a folder, None for an ordinary one.

    Attributes (RFC 6154) count first, since they hold in every language; then Google's label ids; then
    the names servers and mail programs give by default, in two dozen languages, without the path before them.
    """
    for attribute in attributes:
        if role := _BY_ATTRIBUTE.get(attribute.lower()):
            return role
    if provider == "google":
        return GOOGLE_ROLES.get(folder_id)
    if folder_id.upper() == "INBOX":
        return "inbox"
    leaf = (name or "").replace(".", "/").rpartition("/")[2]
    return _BY_NAME.get(leaf.strip().lower())
