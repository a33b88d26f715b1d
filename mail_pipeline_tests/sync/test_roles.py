"""What a folder is for: attributes first, then the provider's own ids, then the names servers give."""

import pytest

from mail_pipeline.sync.role_names import NAMES
from mail_pipeline.sync.roles import folder_role


@pytest.mark.parametrize(
    ("provider", "folder_id", "name", "attributes", "role"),
    [
        ("imap", "Gesendet", "Gesendet", ["\\HasNoChildren", "\\Sent"], "sent"),
        ("imap", "Gesendet", "Gesendet", ["\\SENT"], "sent"),
        ("icloud", "Deleted Messages", "Deleted Messages", [], "trash"),
        ("imap", "Archive", "Archive", ["\\Trash"], "trash"),
        ("imap", "x", "Alle Mails", ["\\All"], "all"),
        ("imap", "x", "x", ["\\Junk"], "junk"),
        ("imap", "x", "x", ["\\Spam"], "junk"),
        ("imap", "x", "x", ["\\Flagged"], "starred"),
        ("google", "SPAM", "SPAM", [], "junk"),
        ("google", "DRAFT", "DRAFT", [], "drafts"),
        ("google", "Label_7", "Trash", [], None),
        ("google", "CATEGORY_SOCIAL", "CATEGORY_SOCIAL", [], None),
        ("imap", "inbox", "Posteingang", [], "inbox"),
        ("imap", "INBOX.Sent", "INBOX.Sent", [], "sent"),
        ("imap", "[Gmail]/All Mail", "[Gmail]/All Mail", [], "all"),
        ("microsoft", "AAMk", "Deleted Items", [], "trash"),
        ("microsoft", "AAMk", " Junk Email ", [], "junk"),
        ("microsoft", "AAMk", "Projects", [], None),
        ("ews", "AAMk", None, [], None),
        ("zimbra", "7", "Sent", ["\\Unknown"], "sent"),
        ("microsoft", "AAMk", "Gesendete Elemente", [], "sent"),
        ("microsoft", "AAMk", "Éléments supprimés", [], "trash"),
        ("microsoft", "AAMk", "Gesendete Elemente", ["\\Archive"], "archive"),
        ("imap", "INBOX.Entwürfe", "INBOX.Entwürfe", [], "drafts"),
        ("imap", "x", "迷惑メール", [], "junk"),
        ("imap", "x", "Отправленные", [], "sent"),
        ("google", "Label_8", "Papierkorb", [], None),
    ],
)
def test_the_role_of_a_folder(
    provider: str, folder_id: str, name: str | None, attributes: list[str], role: str | None
) -> None:
    assert folder_role(provider, folder_id, name, attributes) == role


def test_no_name_stands_for_two_roles_and_all_are_as_they_are_looked_up() -> None:
    names = [name for each in NAMES.values() for name in each.split(", ")]
    assert len(names) == len(set(names))
    assert [name for name in names if name != name.strip().lower()] == []
