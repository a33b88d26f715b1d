"""What is mirrored is what the file asks for: exactly, live, after a change of the file, and nothing else."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mail_pipeline.simulator import MailboxSpec
from mail_pipeline.subset.addresses import Hashing
from mail_pipeline_tests.backfill.world import HASH_KEY, Mail
from mail_pipeline_tests.subset.mirrored import (
    EWS,
    GOOGLE,
    IMAP,
    IMAP_FAMILY,
    MICROSOFT,
    Keeps,
    Mirrored,
    Shows,
    mirrored,
)

Start = Callable[..., Mirrored]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a world of these mailboxes and mirror what `rules` asks for."""
    with ExitStack() as stack:

        def begin(rules: str, *specs: MailboxSpec, **options: Any) -> Mirrored:
            found = stack.enter_context(mirrored(tmp_path, rules, *specs, **options))
            ended = found.mirror()
            assert {each.state for each in ended.values()} == {"complete"}
            return found

        yield begin


def in_folders(*unwanted: str) -> Keeps:
    """Return what tells that a message is in no unwanted label, or has a copy in a wanted folder."""

    def keeps(provider: str, message: dict[str, Any]) -> bool:
        if provider in IMAP_FAMILY:
            return not set(message["folders"]) <= set(unwanted)
        return not set(message["folders"]) & set(unwanted)

    return keeps


def without_folders(*unwanted: str) -> Shows:
    def shows(mail: Mail) -> Mail:
        return mail._replace(folders=tuple(each for each in mail.folders if each not in unwanted))

    return shows


def hashed(mail: Mail) -> Mail:
    hashing = Hashing(HASH_KEY, keep_domains=True)
    people = tuple(
        (role, place, None, address and hashing.address(address)) for role, place, _, address in mail.people
    )
    extra = {name: value for name, value in json.loads(mail.extra).items() if name != "metadata"}
    return mail._replace(people=people, body=None, snippet=None, extra=json.dumps(extra, sort_keys=True))


def test_fields_left_out_are_not_asked_for_and_cost_no_request_by_themselves(start: Start) -> None:
    found = start(
        'bodies = false\nsnippets = false\nexclude_message_fields = ["subject", "cc"]', GOOGLE, IMAP
    )

    def shows(mail: Mail) -> Mail:
        people = tuple(each for each in mail.people if each[0] != "cc")
        return mail._replace(body=None, snippet=None, subject=None, people=people)

    assert found.wrong(shows=shows) == {}
    assert found.world.asked("message") == []
    for query in found.lists():
        assert not {"body", "snippet", "subject", "cc"} & set(query["select"].split(","))


def test_changes_are_followed_within_the_subset_and_a_sweep_finds_nothing_else(start: Start) -> None:
    # Of older mail in IMAP accounts no notification tells.
    recent = replace(IMAP, years=0.2)
    found = start('bodies = false\nexclude_folders = ["role:trash", "Secret*"]', GOOGLE, recent)
    world, provider = found.world, found.world.simulator.provider
    world.follow()
    unwanted: list[str] = []
    later: list[tuple[str, str, str, str]] = []
    for name, grant in found.names.items():
        secret = provider.create_folder(grant, "Secrets")
        unwanted += [secret, found.folder(name, "trash")]
        inbox = found.folder(name, "inbox")
        newest, second, third, fourth, *_ = world.simulator.truth(grant)
        provider.arrive(grant, subject="in", folders=[inbox])
        provider.arrive(grant, subject="out", folders=[secret])
        provider.move(grant, newest["id"], [secret])
        hidden = provider.arrive(grant, subject="back again", folders=[secret])
        provider.flag(grant, second["id"], unread=not second["unread"])
        provider.delete(grant, third["id"])
        provider.move(grant, fourth["id"], [inbox])
        later.append((grant, secret, inbox, hidden))
    world.simulator.clock.advance(2)
    world.settle()
    for grant, secret, inbox, hidden in later:
        provider.move(grant, hidden, [inbox])
        provider.arrive(grant, subject="out again", folders=[secret])
    world.simulator.clock.advance(2)
    world.settle()
    keeps, shows = in_folders(*unwanted), without_folders(*unwanted)

    def expected(mail: Mail) -> Mail:
        return shows(mail._replace(body=None))

    assert found.wrong(keeps, expected) == {}
    assert ("ignored", "It is in no folder that is wanted") in world.ask(
        "SELECT DISTINCT outcome, reason FROM notifications"
    )
    before = world.contents()
    world.simulator.clock.advance(2)
    report = world.reconcile()
    assert report.succeeded
    assert {
        (each.findings.unknown, each.findings.changed, each.findings.missing)
        for each in report.grants
        if each.findings is not None
    } == {(0, 0, 0)}
    assert world.contents() == before
    assert found.wrong(keeps, expected) == {}


def test_what_landed_and_was_missed_is_mended_by_a_sweep_within_the_subset(start: Start) -> None:
    found = start('exclude_folders = ["role:trash"]', MICROSOFT, IMAP)
    provider = found.world.simulator.provider
    trash = [found.folder(name, "trash") for name in found.names]
    for name, grant in found.names.items():
        newest, second, *_ = found.world.simulator.truth(grant)
        provider.arrive(grant, subject="new", folders=[found.folder(name, "inbox")])
        provider.arrive(grant, subject="thrown away", folders=[found.folder(name, "trash")])
        provider.move(grant, newest["id"], [found.folder(name, "trash")])
        provider.flag(grant, second["id"], starred=not second["starred"])
    found.world.simulator.clock.advance(2)
    assert found.world.reconcile().succeeded
    assert found.wrong(in_folders(*trash), without_folders(*trash)) == {}


def test_an_excluded_folder_of_imap_is_no_partition_and_is_never_listed(start: Start) -> None:
    found = start('exclude_folders = ["role:trash", "role:junk"]', IMAP)
    left_out = {found.folder("imap", "trash"), found.folder("imap", "junk")}
    listed = {query.get("in") for query in found.lists()}
    assert not listed & left_out
    assert None in listed
    assert {row for (row,) in found.world.ask("SELECT id FROM folders WHERE excluded")} == left_out
    partitions = found.world.ask("SELECT folder_id FROM mailboxes WHERE active")
    assert not {folder for (folder,) in partitions} & left_out
    key = found.world.ask("SELECT partition_key FROM folders WHERE excluded")[0][0]
    [word] = found.world.backfill([key]).values()
    assert (word.state, word.succeeded) == ("skipped", True)


def test_addresses_are_hashed_in_every_table_and_follow_changes(start: Start) -> None:
    rules = "hash_addresses = true\nkeep_domains = true\nbodies = false\nsnippets = false\n"
    found = start(rules + "[provider.google]\ncalendars = false\nevents = false", GOOGLE)
    assert found.wrong(shows=hashed) == {}
    found.world.follow()
    for name, grant in found.names.items():
        found.world.simulator.provider.arrive(grant, folders=[found.folder(name, "inbox")])
    found.world.settle()
    assert found.wrong(shows=hashed) == {}
    emails = {email for (email,) in found.world.ask("SELECT email FROM grants")}
    assert all(email.startswith("hmac:") for email in emails)


def midnight(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"


def test_mail_older_than_since_is_neither_listed_nor_taken_and_an_earlier_day_brings_the_rest(
    tmp_path: Path,
) -> None:
    with mirrored(tmp_path, "", GOOGLE, EWS) as found:
        dates = sorted(
            m["date"] for grant in found.names.values() for m in found.world.simulator.truth(grant)
        )
        later, earlier = midnight(dates[len(dates) // 2]), midnight(dates[len(dates) // 4])

        def newer(day: str) -> Keeps:
            bound = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
            return lambda _, message: message["date"] >= bound

        found.want(f"since = {later}")
        found.mirror()
        assert found.wrong(newer(later)) == {}
        before = len(found.lists())
        found.mirror()
        assert len(found.lists()) == before

        found.want(f"since = {earlier}")
        found.mirror()
        assert found.wrong(newer(earlier)) == {}
        assert all("received_before" in query for query in found.lists()[before:])


def test_what_is_wanted_in_addition_is_fetched_and_nothing_else(start: Start) -> None:
    found = start('bodies = false\nexclude_message_fields = ["subject"]', GOOGLE, IMAP)
    before = len(found.lists())
    found.world.simulator.clock.advance(2)
    arrived = [
        found.world.simulator.provider.arrive(grant, folders=[found.folder(name, "inbox")])
        for name, grant in found.names.items()
    ]

    found.want("")
    found.world.simulator.clock.advance(2)
    found.mirror()

    assert found.wrong() == {}
    selects = {query["select"] for query in found.lists()[before:]}
    assert selects == {"id,date,folders,subject,body"}
    # What came meanwhile is fetched whole by itself, since the list tells only a part of it.
    assert {each.path.rpartition("/")[2] for each in found.world.asked("message")} >= {
        identity for identity in arrived if identity.isalnum()
    }
    after = len(found.lists())
    found.mirror()
    assert len(found.lists()) == after


def test_folders_wanted_in_addition_are_listed_by_themselves(start: Start) -> None:
    found = start('exclude_folders = ["role:trash", "role:junk", "role:sent"]', GOOGLE, EWS)
    before = len(found.lists())
    found.want('exclude_folders = ["role:junk"]')
    found.mirror()

    junk = [found.folder(name, "junk") for name in found.names]
    assert found.wrong(in_folders(*junk), without_folders(*junk)) == {}
    added = {found.folder(name, role) for name in found.names for role in ("trash", "sent")}
    assert {query.get("in") for query in found.lists()[before:]} == added


def test_a_change_in_the_middle_of_a_list_ends_in_what_is_wanted(tmp_path: Path) -> None:
    with mirrored(tmp_path, "bodies = false", EWS) as found:
        found.mirror(max_pages=1, page_size=5)
        found.want("bodies = false\nsnippets = false")
        found.mirror(max_pages=1, page_size=5)
        found.want("snippets = false")
        found.mirror(max_pages=1, page_size=5)
        found.want("")
        found.mirror(page_size=5)
        assert found.wrong() == {}


def test_a_search_brings_what_it_finds_and_its_new_mail_with_the_next_sweep(start: Start) -> None:
    found = start('search = "invoice"', EWS)

    def finds(_: str, message: dict[str, Any]) -> bool:
        return "invoice" in (message["subject"] or "").lower()

    for grant in found.names.values():
        found.world.simulator.provider.arrive(grant, subject="An Invoice of before")
    found.world.follow()
    for grant in found.names.values():
        found.world.simulator.provider.arrive(grant, subject="An Invoice")
        found.world.simulator.provider.arrive(grant, subject="Hello")
    found.world.settle()
    assert found.world.stored() == {}
    assert found.world.reconcile().succeeded
    assert found.wrong(finds) == {}
    assert len(found.world.stored()) == 2
    [invoice, *_] = [m for m in found.world.simulator.truth(found.names["ews"]) if finds("", m)]
    found.world.simulator.clock.advance(2)
    found.world.simulator.provider.flag(found.names["ews"], invoice["id"], starred=not invoice["starred"])
    found.world.settle()
    assert found.wrong(finds) == {}

    found.want("")
    found.mirror()
    assert found.wrong() == {}


def test_a_stream_switched_off_is_neither_listed_nor_followed(start: Start) -> None:
    found = start("[provider.ews]\nmessages = false\ncontacts = false", EWS, MICROSOFT)
    ews = found.names["ews"]
    assert found.wrong(lambda provider, _: provider != "ews") == {}
    assert found.world.ask("SELECT streams_off FROM grants WHERE provider = 'ews'") == [
        (["contacts", "messages"],)
    ]
    found.world.follow()
    found.world.simulator.provider.arrive(ews)
    found.world.settle()
    assert found.world.ask("SELECT outcome, count(*) FROM notifications GROUP BY 1") == [("ignored", 1)]
    assert found.world.reconcile().succeeded
    assert [each for each in found.world.asked("messages") if each.grant_id == ews] == []


def test_one_wanted_folder_of_a_mailbox_listed_in_one_pass_is_all_that_is_listed(start: Start) -> None:
    found = start('folders = ["role:sent"]', GOOGLE, MICROSOFT)
    sent = {found.folder(name, "sent") for name in found.names}
    assert {query.get("in") for query in found.lists()} == sent
    assert found.wrong(lambda _, message: bool(sent & set(message["folders"]))) == {}
