"""Whatever goes wrong on the way, the lake ends up with exactly what is served."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from mail_pipeline.simulator import (
    PROVIDERS,
    SPOILING,
    TRANSIENT,
    Fault,
    FaultRule,
    Faults,
    Fleet,
    Limits,
    LoggedRequest,
    MailboxSpec,
    Simulator,
)
from mail_pipeline.simulator.fleet import CACHE_DAYS
from mail_pipeline.simulator.rhythm import DAY
from mail_pipeline_tests.backfill.conftest import Serve
from mail_pipeline_tests.backfill.history import assert_steps_are_legal
from mail_pipeline_tests.backfill.world import Identity, Mail, World, differences, digest

IMAP_FAMILY = {"imap", "yahoo", "icloud"}
DELIVERED = SPOILING | {Fault.REPEATED_RECORDS, Fault.DRIP}
"""Faults of answers that a client can read all the same."""
REASONS = {
    Fault.RECORD_WITHOUT_ID: "id: expected text, got nothing",
    Fault.RECORD_NOT_OBJECT: "record: expected an object, got text",
    Fault.DATE_NOT_NUMBER: "date: expected unix seconds, got text",
    Fault.SUBJECT_NOT_TEXT: "subject: expected text, got an object",
    Fault.TO_NOT_LIST: "to: expected a list, got text",
    Fault.LONE_SURROGATE: "text: expected Unicode, got a lone surrogate; stored with U+FFFD in its place",
}
NAMELESS = {Fault.RECORD_WITHOUT_ID, Fault.RECORD_NOT_OBJECT}
MENDED_BODY = digest("<p>\ufffd</p>")


def fleet(seed: int, providers: Iterable[str], messages: int) -> Fleet:
    specs = [
        MailboxSpec(p, messages=messages, body_mean=500, user_folders=1, plain_only=0.3, oddity_every=4)
        for p in providers
    ]
    return Fleet.generate(seed, specs)


@pytest.mark.parametrize(
    ("seed", "providers"),
    [(1, ("google", "imap", "zimbra")), (2, ("microsoft", "yahoo")), (3, ("ews", "icloud"))],
)
def test_every_fault_at_random_still_gives_exactly_the_served_set(
    serve: Serve, seed: int, providers: tuple[str, ...]
) -> None:
    faults = Faults(rate=0.25, kinds=TRANSIENT | SPOILING, seed=seed, seconds=0.3)
    world = serve(Simulator(fleet(seed, providers, 90), faults=faults, limits=Limits.off(), irregular=0.5))
    ended = world.backfill(world.register(), page_size=15)
    assert {each.state for each in ended.values()} == {"complete"}
    assert_exact(world)


def test_each_kind_of_fault_by_plan_still_gives_exactly_the_served_set(serve: Serve) -> None:
    every = fleet(11, PROVIDERS, 80)
    grants = [mailbox.grant.id for mailbox in every]
    # These two are for pages with a cursor only, so they do not count a grant's first request.
    with_cursor = [Fault.REPEATED_RECORDS, Fault.CURSOR_EXPIRED]
    kinds = [*with_cursor, *sorted((TRANSIENT | SPOILING) - {*with_cursor})]
    rules = [
        FaultRule(
            fault,
            "messages",
            grant_id=grants[number % len(grants)],
            first=2 + number // len(grants) - (fault in with_cursor),
            seconds=0.3,
        )
        for number, fault in enumerate(kinds)
    ]
    world = serve(Simulator(every, faults=Faults(rules), limits=Limits.off(), irregular=0.5))
    ended = world.backfill(world.register(), page_size=15)
    assert {each.state for each in ended.values()} == {"complete"}
    assert {entry.fault for entry in world.simulator.requests} == {None, *(kind.value for kind in kinds)}
    assert_exact(world)


def assert_exact(world: World) -> None:
    """Hold the lake against the served set, the dead letters and the ledger against the request log."""
    stored, allowed = world.stored(), allowed_outcomes(world)
    expected = {
        key: mail
        for key, outcomes in allowed.items()
        if (mail := stored.get(key) if stored.get(key) in outcomes else outcomes[0]) is not None
    }
    assert differences(stored, expected) == {}
    assert world.orphans() == {}
    assert_dead_letters(world)
    assert_ledger(world, stored)
    assert_steps_are_legal(world)


def allowed_outcomes(world: World) -> dict[Identity, tuple[Mail | None, ...]]:
    """Return what may be seen of each message in the lake: one outcome, except where a record came both
    unreadable and readable.
    """
    spoiled = spoiled_sightings(world)
    oldest_cached = world.simulator.fleet.now - CACHE_DAYS * DAY
    providers = {mailbox.grant.id: mailbox.grant.provider for mailbox in world.simulator.fleet}
    allowed: dict[Identity, tuple[Mail | None, ...]] = {}
    for key, mail in world.served().items():
        faults = spoiled.get(key, {})
        lists: set[str | None] = {None}
        if providers[key[0]] in IMAP_FAMILY:
            lists = set(mail.folders)
            if mail.date is not None and mail.date >= oldest_cached:
                lists.add(None)
        allowed[key] = tuple(outcomes(mail, lists, faults, relisted(world, key[0]) if faults else set()))
    return allowed


def outcomes(
    mail: Mail, lists: set[str | None], faults: dict[str | None, Fault], relisted: set[str | None]
) -> Iterator[Mail | None]:
    """Yield what may be seen of a message that is on these lists, some of which spoiled it."""
    unreadable = {where for where, fault in faults.items() if fault is not Fault.LONE_SURROGATE}
    bodies = [mail.body]
    if faults.keys() - unreadable:
        again = lists - unreadable - faults.keys() or faults.keys() & relisted
        bodies = [MENDED_BODY, mail.body] if again else [MENDED_BODY]
    for lost in (unreadable, unreadable - relisted):
        seen = lists - lost
        whole = mail.folders if None in seen else tuple(sorted(each for each in seen if each is not None))
        for body in bodies:
            yield mail._replace(folders=whole, body=body) if seen else None


def spoiled_sightings(world: World) -> dict[Identity, dict[str | None, Fault]]:
    """Return for each message on which lists, by folder, it came unreadable, and how."""
    found: dict[Identity, dict[str | None, Fault]] = {}
    for entry in delivered(world):
        for identity in entry.spoiled:
            assert entry.grant_id is not None
            found.setdefault((entry.grant_id, identity), {})[entry.folder_id] = Fault(entry.fault or "")
    return found


def relisted(world: World, grant_id: str) -> set[str | None]:
    """Return the lists of a grant, by folder, that may have shown a record twice."""
    twice = {Fault.REPEATED_RECORDS.value, Fault.CURSOR_EXPIRED.value}
    log = world.simulator.requests
    return {entry.folder_id for entry in log if entry.grant_id == grant_id and entry.fault in twice}


def delivered(world: World) -> list[LoggedRequest]:
    """Return the requests for lists of messages whose answers could be read."""
    readable = {None, *(fault.value for fault in DELIVERED)}
    return [
        entry
        for entry in world.simulator.requests
        if entry.operation == "messages" and entry.status == 200 and entry.fault in readable
    ]


def assert_dead_letters(world: World) -> None:
    served = {
        (mailbox.grant.id, message["id"]): message
        for mailbox in world.simulator.fleet
        for message in world.simulator.truth(mailbox.grant.id)
    }
    kept = world.ask("SELECT grant_id, object_id, reason, stored, raw FROM dead_letters")
    expected = Counter(
        (
            entry.grant_id,
            None if entry.fault in NAMELESS else identity,
            REASONS[Fault(entry.fault or "")],
            entry.fault == Fault.LONE_SURROGATE,
        )
        for entry in delivered(world)
        for identity in entry.spoiled
    )
    assert Counter(tuple(each) for *each, _ in kept) == expected
    for grant, identity, reason, _, raw in kept:
        record = json.loads(raw)
        if reason == REASONS[Fault.RECORD_NOT_OBJECT]:
            assert record == "Lorem ipsum"
            continue
        if identity is None:
            assert any(kept_of(record, "id") == kept_of(message, "id") for message in served.values())
            continue
        changed = "body" if reason == REASONS[Fault.LONE_SURROGATE] else reason.split(":")[0]
        assert kept_of(record, changed) == kept_of(served[grant, identity], changed)
        assert record[changed] != served[grant, identity].get(changed)


def kept_of(record: dict[str, Any], spoiled: str) -> dict[str, Any]:
    """Return what a spoiled record shares with the true one; a folder's list tells of that folder only."""
    return {name: value for name, value in record.items() if name not in {spoiled, "folders"}}


def assert_ledger(world: World, stored: dict[Identity, Mail]) -> None:
    log = world.simulator.requests
    letters = Counter(key for (key,) in world.ask("SELECT partition_key FROM dead_letters"))
    told = Counter[str]()
    for key, row in world.ledger().items():
        told[row["grant_id"]] += row["messages"]
        pages = [
            entry
            for entry in delivered(world)
            if (entry.grant_id, entry.folder_id) == (row["grant_id"], row["folder_id"])
        ]
        assert row["state"] == "complete"
        assert row["cursor"] is None
        assert row["pages"] == len(pages)
        assert row["ids_seen"] == sum(entry.count for entry in pages)
        assert row["dead_letters"] == letters[key]
        assert row["requests"] == sum(
            (entry.grant_id, entry.folder_id) == (row["grant_id"], row["folder_id"])
            and entry.operation in {"messages", "message"}
            for entry in log
        )
    assert told == Counter(grant_id for grant_id, _ in stored)
