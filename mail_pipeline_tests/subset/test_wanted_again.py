"""What was left out for a while, or removed, is there again once the file wants it again."""

from contextlib import closing
from pathlib import Path

import pytest

from mail_pipeline.lake.writer import Lake
from mail_pipeline.simulator import MailboxSpec
from mail_pipeline.sync.leases import Leases
from mail_pipeline.sync.removal import remove_excluded
from mail_pipeline.sync.streams.record_store import RecordStore
from mail_pipeline_tests.deep import deep
from mail_pipeline_tests.streams.mirroring import assert_mirrored, mirror_all
from mail_pipeline_tests.subset.mirrored import EWS, GOOGLE, IMAP, IMAP_FAMILY, MICROSOFT, Mirrored, mirrored

SPECS = [pytest.param(GOOGLE, id="google"), pytest.param(IMAP, id="imap", marks=deep)]


def remove(found: Mirrored, rules: str) -> None:
    """Want less, and remove what is too much."""
    found.want(rules)
    found.world.register()
    report = remove_excluded(found.world.settings())
    assert report.messages + report.narrowed


@pytest.mark.parametrize(
    "rules", ["bodies = false", 'exclude_folders = ["role:inbox"]', "since = 2100-01-01"]
)
@pytest.mark.parametrize("spec", SPECS)
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


@pytest.mark.parametrize(
    "rules", ["bodies = false", 'exclude_folders = ["role:junk"]', "since = 2100-01-01", "messages = false"]
)
@pytest.mark.parametrize("spec", SPECS)
def test_what_was_left_out_for_an_hour_is_fetched_by_the_next_backfill(
    tmp_path: Path, spec: MailboxSpec, rules: str
) -> None:
    with mirrored(tmp_path, "", spec) as found:
        found.mirror()
        found.world.follow()
        found.want(rules)
        change(found)
        for grant in found.names.values():
            _, gone, *_ = found.world.simulator.truth(grant)
            found.world.simulator.provider.delete(grant, gone["id"])
        found.world.simulator.clock.advance(2)
        found.world.settle()
        found.mirror()
        found.want("")
        found.world.simulator.clock.advance(2)
        found.mirror()
        found.world.settle()
        assert found.wrong() == {}
        lists = len(found.lists())
        found.mirror()
        assert len(found.lists()) == lists


def change(found: Mirrored) -> None:
    """Have mail arrive, in the junk too and filed among the oldest, and an old message change its flags."""
    provider = found.world.simulator.provider
    for name, grant in found.names.items():
        first, *_, old = found.world.simulator.truth(grant)
        inbox, junk = found.folder(name, "inbox"), found.folder(name, "junk")
        provider.arrive(grant, folders=[inbox])
        provider.arrive(grant, folders=[junk], date=old["date"] + 9)
        if name not in IMAP_FAMILY:
            # Of such a change in old mail IMAP tells nobody.
            provider.flag(grant, old["id"], unread=not old["unread"])
            provider.flag(grant, first["id"], starred=not first["starred"])
    found.world.simulator.clock.advance(2)


def test_a_list_in_progress_brings_what_was_left_out_while_it_stood_still(tmp_path: Path) -> None:
    with mirrored(tmp_path, "", GOOGLE) as found:
        found.mirror(max_pages=1, page_size=5)
        found.world.follow()
        found.want("bodies = false")
        change(found)
        found.world.settle()
        found.want("")
        found.world.simulator.clock.advance(2)
        found.mirror()
        assert found.wrong() == {}


def test_records_left_out_or_narrowed_for_a_while_are_listed_again_once_they_are_wanted(
    tmp_path: Path,
) -> None:
    rules = 'exclude_event_fields = ["description"]\nexclude_contact_fields = ["notes", "given_name"]'
    streams = ("contacts", "calendars", "events")
    with mirrored(tmp_path, rules, GOOGLE, MICROSOFT) as found:
        found.world.register()
        mirror_all(found.world, *streams)
        found.want("contacts = false\nexclude_calendar_fields = ['name']")
        found.world.follow()
        for grant in found.names.values():
            found.world.simulator.provider.create_contact(grant)
            found.world.simulator.provider.create_calendar(grant, "Another")
        found.world.settle()
        found.want("")
        found.world.register()
        mirror_all(found.world, *streams)
        assert_mirrored(found.world, *streams)
        lists = len(found.world.simulator.requests)
        mirror_all(found.world, "contacts")
        assert [each.operation for each in found.world.simulator.requests[lists:]].count("contacts") == 0


def test_removed_fields_of_records_come_back(tmp_path: Path) -> None:
    with mirrored(tmp_path, "", GOOGLE) as found:
        found.world.register()
        mirror_all(found.world, "contacts")
        found.want('exclude_contact_fields = ["given_name"]')
        assert remove_excluded(found.world.settings()).records
        found.want("")
        mirror_all(found.world, "contacts")
        assert_mirrored(found.world, "contacts")


def test_what_an_interrupted_removal_has_removed_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with mirrored(tmp_path, "", GOOGLE) as found:
        found.mirror()
        found.want('exclude_folders = ["role:inbox"]')
        with monkeypatch.context() as patched:
            patched.setattr(RecordStore, "rewrite", interrupt)
            with pytest.raises(KeyboardInterrupt):
                remove_excluded(found.world.settings())
        assert len(found.world.stored()) < len(found.expected())
        found.want("")
        found.mirror()
        assert found.wrong() == {}


def test_a_grant_that_another_works_on_is_noted_once_it_is_free(tmp_path: Path) -> None:
    with mirrored(tmp_path, "", GOOGLE) as found:
        found.mirror()
        found.want("since = 2100-01-01")
        data = found.world.data
        with Lake(data) as lake, closing(Leases(data)) as other:
            with other.held(lake, found.names["google"]):
                found.world.apply()
                assert found.world.ask("SELECT since FROM mailboxes") == [(None,)]
            found.world.apply()
        assert found.world.ask("SELECT since::DATE::VARCHAR FROM mailboxes") == [("2100-01-01",)]
