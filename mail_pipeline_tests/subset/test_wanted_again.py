"""What was left out for a while, or removed, is there again once the file wants it again."""

from pathlib import Path

import pytest

from mail_pipeline.simulator import MailboxSpec
from mail_pipeline.sync.removal import remove_excluded
from mail_pipeline_tests.subset.mirrored import EWS, GOOGLE, IMAP, Mirrored, mirrored


def remove(found: Mirrored, rules: str) -> None:
    """Want less, and remove what is too much."""
    found.want(rules)
    found.world.register()
    report = remove_excluded(found.world.settings())
    assert report.messages + report.narrowed


@pytest.mark.parametrize(
    "rules", ["bodies = false", 'exclude_folders = ["role:inbox"]', "since = 2100-01-01"]
)
@pytest.mark.parametrize("spec", [GOOGLE, IMAP], ids=["google", "imap"])
def test_what_is_removed_while_a_mailbox_is_half_listed_comes_back(
    tmp_path: Path, spec: MailboxSpec, rules: str
) -> None:
    with mirrored(tmp_path, "", spec) as found:
        found.mirror(max_pages=1, page_size=5)
        remove(found, rules)
        # Removing once more what is removed already must not begin every list anew.
        before = found.world.ledger()
        remove_excluded(found.world.settings())
        assert found.world.ledger() == before
        found.want("")
        found.mirror()
        assert found.wrong() == {}


def test_what_is_removed_while_something_else_is_wanted_again_comes_back(tmp_path: Path) -> None:
    with mirrored(tmp_path, 'exclude_folders = ["role:sent"]', GOOGLE, EWS) as found:
        found.mirror()
        remove(found, 'exclude_folders = ["role:inbox"]\nbodies = false')
        found.want("")
        found.mirror()
        assert found.wrong() == {}


def test_a_removed_folder_of_imap_is_listed_again_once_it_is_wanted(tmp_path: Path) -> None:
    with mirrored(tmp_path, "", IMAP) as found:
        found.mirror()
        inbox = found.folder("imap", "inbox")
        remove(found, 'exclude_folders = ["role:inbox"]')
        found.mirror()
        found.want("")
        found.world.register()
        states = {row["folder_id"]: row["state"] for row in found.world.ledger().values()}
        assert states.pop(inbox) == "registered"
        assert set(states.values()) == {"complete"}
        found.mirror()
        assert found.wrong() == {}
