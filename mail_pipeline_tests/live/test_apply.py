"""Applying: each notification takes effect once, whatever it is, and a bad one costs no other its place."""

import gzip
import json
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mail_pipeline.errors import RetryLater, StopRun
from mail_pipeline.inbox.landing import Delivery, Landed, Landing
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas import KeyRejected
from mail_pipeline.simulator import Disorder, MailboxSpec, SimulatedClock
from mail_pipeline.sync import planning
from mail_pipeline.sync.apply import LEASE, AnotherApplies, ApplyReport, Replay, apply
from mail_pipeline.sync.leases import Leases
from mail_pipeline.sync.notifications import Notification, read_notification
from mail_pipeline.sync.planning import UNKNOWN_GRANT
from mail_pipeline_tests.backfill.test_kills import commits
from mail_pipeline_tests.live.conftest import Near
from mail_pipeline_tests.live.envelopes import (
    GRANT,
    JSON_TYPE,
    NOW,
    apply_offline,
    ask,
    envelope,
    know,
    land,
    offline,
    outcomes,
    whole,
)
from mail_pipeline_tests.live.near import NearWorld

PARTS = {"message_participants": "message_id", "message_folders": "message_id", "attachments": "message_id"}
NOBODY_LISTENS = "http://127.0.0.1:9"
SMALL = (MailboxSpec("google", messages=12, body_mean=200),)


@pytest.fixture
def knowing(data: Path) -> Path:
    """Return the data folder of a lake that knows GRANT."""
    know(data, GRANT)
    return data


@pytest.fixture
def follows(near: Near) -> NearWorld:
    """Start a world with one backfilled mailbox of Google, whose changes land."""
    world = near(*SMALL)
    world.follow()
    return world


def created(identity: str, at: int = NOW, **fields: Any) -> dict[str, Any]:
    return envelope("message.created", at, whole(identity), **fields)


def deleted(identity: str, at: int) -> dict[str, Any]:
    return envelope("message.deleted", at, id=identity)


def subjects(data: Path) -> dict[str, str]:
    return dict(ask(data, "SELECT id, subject FROM messages"))


def waiting(data: Path) -> list[tuple[str, str | None, str]]:
    return ask(data, "SELECT object, object_id, reason FROM fetches ORDER BY ALL")


def parts_of(data: Path, identity: str) -> dict[str, int]:
    """Return how many rows each table of parts has of a message."""
    return {
        table: ask(data, f"SELECT count(*) FROM {table} WHERE {column} = ?", [identity])[0][0]
        for table, column in PARTS.items()
    }


def test_rows_tombstones_what_is_open_and_the_applied_mark_are_one_commit(knowing: Path) -> None:
    land(knowing, [created("a"), created("b"), deleted("b", NOW + 1), b"no JSON"])
    land(knowing, [envelope("message.created.truncated", NOW, id="c", subject="cut")])
    before = newest_snapshot(knowing)
    report = apply_offline(knowing)

    assert newest_snapshot(knowing) == before + 1
    assert (report.applied_up_to, report.count("applied"), report.count("dead")) == (5, 4, 1)
    assert report.messages == {GRANT: 4}
    assert subjects(knowing) == {"a": "Lunch?", "c": "cut"}
    assert ask(knowing, "SELECT id FROM all_messages WHERE deleted_at IS NOT NULL") == [("b",)]
    assert ask(knowing, "SELECT count(*), max(number) FROM notifications") == [(5, 5)]
    assert ask(knowing, "SELECT object_id, stored FROM dead_letters") == [("4", False)]
    assert waiting(knowing) == [("message", "c", "truncated")]


def newest_snapshot(data: Path) -> int:
    return commits(NearWorld(None, "", data))  # type: ignore[arg-type]


def test_nothing_landed_is_nothing_to_do(knowing: Path) -> None:
    before = newest_snapshot(knowing)
    report = apply_offline(knowing)

    assert (report.applied_up_to, report.outcomes, report.waiting) == (0, {}, 0)
    assert newest_snapshot(knowing) == before


def test_each_notification_takes_effect_once(knowing: Path) -> None:
    land(knowing, [created("a", subject="first")])
    apply_offline(knowing)
    again = apply_offline(knowing)

    assert (again.applied_up_to, again.outcomes) == (1, {})
    assert ask(knowing, "SELECT count(*) FROM notifications") == [(1,)]


SECRET = "zq-content-that-no-reason-may-tell"
BAD: dict[str, tuple[Any, str]] = {
    "not JSON": (b"<html>" + SECRET.encode(), "body: expected JSON"),
    "not UTF-8": (b'{"type":"\xff\x00' + SECRET.encode() + b'"}', "type: expected Unicode"),
    "empty": (b"", "body: expected JSON"),
    "a list": ([SECRET], "record: expected an object, got a list"),
    "no type": (envelope("", NOW, id="x"), "type: expected text"),
    "type of the wrong shape": ({**created("x"), "type": {SECRET: 1}}, "type: expected text, got an object"),
    "no grant": (envelope("message.created", NOW, whole("x"), grant_id=None), "data.object.grant_id: expect"),
    "no time": (envelope("message.created", None, whole("x")), "time: expected unix seconds, got nothing"),
    "no data": ({"type": "message.created", "time": NOW}, "data: expected an object"),
    "no object": ({"type": "message.created", "time": NOW, "data": {}}, "data.object: expected an object"),
    "no id": (envelope("message.created", NOW, subject=SECRET), "id: expected text"),
    "a deletion of nothing": (envelope("message.deleted", NOW), "data.object.id: expected text"),
    "a field of the wrong shape": (created("x", subject=[SECRET]), "subject: expected text, got a list"),
    "unknown grant": (created("x", grant_id="stranger", subject=SECRET), UNKNOWN_GRANT),
}


def test_each_kind_of_bad_body_is_dead_with_its_reason_and_the_rest_of_the_batch_is_applied(
    knowing: Path,
) -> None:
    for position, (bad, _) in enumerate(BAD.values()):
        land(
            knowing,
            [created(f"good {position}"), bad if isinstance(bad, bytes) else json.dumps(bad).encode()],
        )
    report = apply_offline(knowing)

    assert (report.count("applied"), report.count("dead")) == (len(BAD), len(BAD))
    assert len(subjects(knowing)) == len(BAD)
    found = outcomes(knowing)
    letters = ask(
        knowing,
        "SELECT object_id::BIGINT, reason, raw FROM dead_letters WHERE object = 'notification' ORDER BY ALL",
    )
    for position, (name, (bad, wanted)) in enumerate(BAD.items()):
        outcome, reason = found[2 * position + 1]
        assert outcome == "dead", name
        assert reason is not None
        assert reason.startswith(wanted), name
        assert SECRET not in reason
        assert letters[position][:2] == (2 * position + 2, reason)
        # What came is kept as it came.
        if not isinstance(bad, bytes):
            assert json.loads(letters[position][2]) == bad


@pytest.mark.parametrize("folders", [[{"id": "INBOX"}], [["INBOX"]], [None], ["INBOX", 5]])
def test_folders_of_a_wrong_shape_are_dead_beside_a_rule_on_folders_too(
    knowing: Path, tmp_path: Path, folders: list[Any]
) -> None:
    config = tmp_path / "mail_pipeline.toml"
    config.write_text('exclude_folders = ["role:junk"]')
    land(knowing, [created("a", folders=folders), envelope("folder.updated", NOW, id="INBOX")])

    report = apply(replace(offline(knowing), config=config))

    assert (report.count("dead"), report.count("applied")) == (1, 1)
    [(reason,)] = ask(knowing, "SELECT reason FROM dead_letters")
    assert reason.startswith("folders: expected a list of texts")


def test_a_notification_that_breaks_its_reader_keeps_back_nothing_that_landed_behind_it(
    knowing: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read(landed: Landed) -> Notification:
        if b"Secret" in landed.body:
            raise TypeError(landed.body)
        return read_notification(landed)

    monkeypatch.setattr(planning, "read_notification", read)
    land(knowing, [created("a", subject="Secret plans"), created("b")])
    report = apply_offline(knowing)

    assert (report.count("dead"), report.count("applied")) == (1, 1)
    assert list(subjects(knowing)) == ["b"]
    assert ask(knowing, "SELECT reason FROM dead_letters") == [
        ("An unexpected TypeError kept it from being read",)
    ]
    assert "TypeError" in caplog.text
    assert "Secret plans" not in caplog.text

    monkeypatch.undo()
    apply_offline(knowing, replay=Replay.read("dead"))
    assert set(subjects(knowing)) == {"a", "b"}


def test_broken_gzip_is_dead_and_whole_gzip_is_applied(knowing: Path) -> None:
    body = gzip.compress(json.dumps(created("a")).encode())
    headers = {**JSON_TYPE, "content-encoding": "gzip"}
    with Landing.open(offline(knowing)) as landing:
        landing.store([Delivery(time.time(), headers, body[:-9]), Delivery(time.time(), headers, body)])
    apply_offline(knowing)

    assert [outcome for outcome, _ in outcomes(knowing)] == ["dead", "applied"]
    assert subjects(knowing) == {"a": "Lunch?"}


def test_half_an_emoji_is_stored_mended_with_the_record_beside_it(knowing: Path) -> None:
    land(knowing, [created("a", subject="cut \ud83d"), created("b\udc00"), deleted("b\udc00", NOW + 1)])
    apply_offline(knowing)

    assert subjects(knowing) == {"a": "cut \ufffd"}
    assert ask(knowing, "SELECT id FROM all_messages WHERE deleted_at IS NOT NULL") == [("b\ufffd",)]
    assert ask(knowing, "SELECT object, object_id, stored FROM dead_letters ORDER BY ALL") == [
        ("message", "a", True),
        ("message", "b\ufffd", True),
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "object"]), inner),
    max_leaves=6,
)
FIELDS = st.dictionaries(
    st.sampled_from([*whole("m"), "grant_id", "importance", "\0"]), json_values, max_size=4
)
KINDS = st.sampled_from(
    ["message.created", "message.updated.truncated", "message.deleted", "folder.created", "event.x", "y"]
)
sent = st.one_of(
    st.binary(max_size=20),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.builds(
        lambda kind, fields: json.dumps(envelope(kind, NOW, {"id": "m", **fields})).encode(), KINDS, FIELDS
    ),
    st.builds(
        lambda name, value: json.dumps({**created("m"), name: value}).encode(),
        st.sampled_from(["type", "time", "id", "data"]),
        json_values,
    ),
)


@settings(
    max_examples=4,
    # Shrinking would take minutes of commits.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(bodies=st.lists(sent, min_size=40, max_size=60))
def test_whatever_lands_is_dealt_with_and_named(knowing: Path, bodies: list[bytes]) -> None:
    before = len(outcomes(knowing))
    land(knowing, bodies)
    report = apply_offline(knowing)
    found = outcomes(knowing)[before:]

    assert report.outcomes.total() == len(found) == len(bodies)
    assert {outcome for outcome, _ in found} <= {"applied", "kept", "dead"}
    assert all(reason for outcome, reason in found if outcome == "dead")


KEPT = {
    **{kind: kind for kind in ("thread.replied", "thread.replied.legacy", "message.opened")},
    **{
        kind: kind
        for kind in ("message.link_clicked.legacy", "message.bounce_detected", "message.send_success")
    },
    **{kind: kind for kind in ("booking.created", "something.new")},
}
"""Types that no table takes, and what triggers them."""


def test_what_no_table_takes_is_kept_and_counted(knowing: Path) -> None:
    land(knowing, [envelope(kind, NOW, id=f"of {kind}") for kind in KEPT])
    report = apply_offline(knowing)

    assert report.outcomes == {("kept", trigger): 1 for trigger in KEPT.values()}
    told = ask(knowing, "SELECT type, trigger, object_id, outcome FROM notifications ORDER BY number")
    assert told == [(kind, trigger, f"of {kind}", "kept") for kind, trigger in KEPT.items()]
    assert all(reason for _, reason in outcomes(knowing))
    assert waiting(knowing) == []


TAKEN = (
    *(f"contact.{what}" for what in ("updated", "deleted")),
    *(f"calendar.{what}" for what in ("created", "updated", "deleted")),
    *("event.created", "event.updated.transformed", "event.deleted"),
)


def test_what_is_said_of_contacts_calendars_and_events_is_applied(knowing: Path) -> None:
    land(knowing, [envelope(kind, NOW, id=kind, calendar_id="k", title="t", name="n") for kind in TAKEN])
    report = apply_offline(knowing)

    assert report.count("applied") == len(TAKEN)
    assert report.touched.keys() == {"contact", "calendar", "event"}
    assert {grant_id for by_grant in report.touched.values() for grant_id in by_grant} == {GRANT}
    for table, kind in (("contacts", "contact"), ("calendars", "calendar"), ("events", "event")):
        own = {each for each in TAKEN if each.startswith(kind)}
        assert {identity for (identity,) in ask(knowing, f"SELECT id FROM all_{table}")} == own
        shown = {identity for (identity,) in ask(knowing, f"SELECT id FROM {table}")}
        assert shown == {each for each in own if not each.endswith("deleted")}
    # What an update leaves out of a record that is new to the lake has to be asked for.
    whole = [(each.partition(".")[0], each, "partial") for each in TAKEN if "updated" in each]
    assert sorted(waiting(knowing)) == sorted(whole)


def test_an_unknown_grants_mail_is_applied_once_the_grant_is_known(data: Path) -> None:
    land(data, [created("a"), created("b")])
    report = apply_offline(data)
    assert (report.count("dead"), subjects(data)) == (2, {})
    assert waiting(data) == [("grants", None, "changed"), ("grants", None, "changed")]

    know(data, GRANT)
    report = apply_offline(data)

    assert report.count("applied") == 2
    assert sorted(subjects(data)) == ["a", "b"]
    assert outcomes(data) == [("applied", None), ("applied", None)]
    assert ask(data, "SELECT * FROM dead_letters") == []


def test_mail_that_overtakes_its_new_grant_is_applied(follows: NearWorld) -> None:
    new = follows.simulator.provider.connect(MailboxSpec("microsoft", messages=0))
    arrived = follows.simulator.provider.arrive(new, subject="Before it was known")
    follows.simulator.postman.drain()
    with follows.landing() as landing:
        # The news of the grant itself never came.
        mail = {
            row.number for row in landing.after(0, limit=9, max_bytes=10**6) if arrived.encode() in row.body
        }
        landing.remove(up_to=9, received_before=time.time() + 1, keep=mail)
    report = follows.apply()

    assert report.outcomes == {("dead", "message.created"): 1, ("applied", "message.created"): 1}
    assert follows.ask("SELECT id FROM messages WHERE grant_id = ?", [new]) == [(arrived,)]
    assert follows.keys(new) == [new]


def test_folders_follow_their_notifications(near: Near) -> None:
    world = near(MailboxSpec("imap", messages=30, body_mean=200, user_folders=2))
    world.follow()
    grant_id = world.grant_id("imap")
    provider = world.simulator.provider
    made = provider.create_folder(grant_id, "Plans")
    (first, *_) = [each.id for each in world.simulator.true_folders(grant_id) if each.role == "user"]
    renamed = provider.rename_folder(grant_id, first, "Renamed")
    provider.delete_folder(grant_id, made)
    world.settle()

    folders = {identity for (identity,) in world.ask("SELECT id FROM folders WHERE grant_id = ?", [grant_id])}
    assert folders == {each.id for each in world.simulator.true_folders(grant_id)}
    active = {row["folder_id"] for row in world.ledger().values() if row["active"]}
    assert renamed in active
    assert first not in active


def test_grants_follow_their_notifications(follows: NearWorld) -> None:
    grant_id = follows.grant_id("google")
    provider = follows.simulator.provider

    def status(of: str) -> list[tuple[Any, ...]]:
        follows.settle()
        return follows.ask("SELECT status FROM grants WHERE id = ?", [of])

    provider.expire(grant_id)
    assert status(grant_id) == [("invalid",)]
    provider.reauthenticate(grant_id)
    assert status(grant_id) == [("valid",)]
    new = provider.connect(MailboxSpec("imap", messages=3))
    assert status(new) == [("valid",)]
    provider.disconnect(new)
    assert status(new) == []
    assert follows.ask("SELECT deleted_at IS NULL FROM all_grants WHERE id = ?", [new]) == [(False,)]


def test_a_truncated_message_is_fetched_whole(follows: NearWorld) -> None:
    grant_id = follows.grant_id("google")
    large = follows.simulator.provider.arrive(grant_id, size=1_200_000)
    report = follows.settle()

    assert follows.ask("SELECT type FROM notifications") == [("message.created.truncated",)]
    assert (report.fetched, report.waiting, waiting(follows.data)) == (1, 0, [])
    assert len(follows.asked("message")) == 1
    assert follows.wrong() == {}
    assert follows.ask("SELECT body_bytes > 1000000 FROM messages WHERE id = ?", [large]) == [(True,)]


def test_what_customising_leaves_out_is_fetched(follows: NearWorld) -> None:
    follows.simulator.postman.style.transformed_without = {"cc", "folders"}
    grant_id = follows.grant_id("google")
    new = follows.simulator.provider.arrive(grant_id, cc=[{"name": "Cem", "email": "cem@example.org"}])
    follows.settle()
    assert follows.wrong() == {}

    folder = follows.simulator.true_folders(grant_id)[1].id
    follows.simulator.provider.move(grant_id, new, [folder])
    follows.settle()
    assert follows.ask("SELECT DISTINCT type FROM notifications ORDER BY 1") == [
        ("message.created.transformed",),
        ("message.updated.transformed",),
    ]
    assert follows.wrong() == {}


def test_a_scope_without_content_is_not_asked_for_content(follows: NearWorld) -> None:
    grant_id = follows.grant_id("google")
    follows.simulator.postman.style.metadata_only = {grant_id}
    new = follows.simulator.provider.arrive(grant_id, subject="Hello")
    follows.settle()

    assert follows.asked("message") == []
    assert follows.ask("SELECT subject, body_bytes FROM messages WHERE id = ?", [new]) == [("Hello", None)]


def test_a_cleaned_body_never_takes_a_bodys_place(knowing: Path) -> None:
    land(knowing, [created("a")])
    apply_offline(knowing)
    land(
        knowing,
        [envelope("message.created.cleaned", NOW + 5, whole("a"), body="# At noon", cleaning_status="ok")],
    )
    land(knowing, [envelope("message.created.cleaned", NOW + 5, whole("b"), body="# At noon")])
    apply_offline(knowing)

    assert ask(knowing, "SELECT id, body FROM message_bodies") == [("a", "<p>At noon</p>")]
    assert ask(knowing, "SELECT extra FROM messages WHERE extra LIKE '%cleaning%'") == []
    assert ("message", "b", "no body") in waiting(knowing)


def test_an_update_of_a_message_nobody_knew_has_the_rest_fetched(follows: NearWorld) -> None:
    grant_id = follows.grant_id("google")
    follows.simulator.postman.disorder = Disorder(drop=1.0)
    new = follows.simulator.provider.arrive(
        grant_id, attachments=2, bcc=[{"name": "Dee", "email": "dee@example.org"}]
    )
    follows.simulator.postman.disorder = Disorder()
    follows.simulator.clock.advance(5)
    follows.simulator.provider.flag(grant_id, new, starred=True)
    follows.settle()

    assert follows.ask("SELECT type FROM notifications") == [("message.updated",)]
    assert follows.wrong() == {}


@pytest.mark.parametrize("kind", ["message", "contact", "event"])
def test_an_update_of_what_is_known_only_by_its_tombstone_has_the_rest_fetched(
    knowing: Path, kind: str
) -> None:
    told = {"id": "a", "calendar_id": "k"}
    land(knowing, [envelope(f"{kind}.deleted", NOW, **told)])
    apply_offline(knowing)
    assert waiting(knowing) == []

    land(knowing, [envelope(f"{kind}.updated", NOW + 1, **told, body="<p></p>")])
    apply_offline(knowing)
    assert waiting(knowing) == [(kind, "a", "partial")]

    # It has been asked for: what is told of it later is not lacking by itself.
    land(knowing, [envelope(f"{kind}.updated", NOW + 2, **told, body="<p></p>")])
    apply_offline(knowing)
    assert waiting(knowing) == [(kind, "a", "partial")]


def test_a_message_that_returns_unseen_and_is_changed_has_all_its_parts(follows: NearWorld) -> None:
    grant_id = follows.grant_id("google")
    provider, postman = follows.simulator.provider, follows.simulator.postman
    postman.disorder = Disorder(drop=1.0)
    new = provider.arrive(grant_id, attachments=2, bcc=[{"name": "Dee", "email": "dee@example.org"}])
    postman.disorder = Disorder()
    follows.simulator.clock.advance(2)
    provider.delete(grant_id, new)
    follows.settle()
    assert follows.ask("SELECT deleted_at IS NOT NULL FROM all_messages WHERE id = ?", [new]) == [(True,)]

    postman.disorder = Disorder(drop=1.0)
    follows.simulator.clock.advance(2)
    provider.restore(grant_id, new)
    postman.disorder = Disorder()
    follows.simulator.clock.advance(2)
    provider.flag(grant_id, new, starred=True)
    follows.settle()
    assert follows.wrong() == {}


def test_a_deleted_message_leaves_with_its_parts_and_comes_back_whole(knowing: Path) -> None:
    land(knowing, [created("a"), created("stays")])
    apply_offline(knowing)
    there = parts_of(knowing, "a")
    shown = ask(knowing, "SELECT * EXCLUDE observed_at FROM messages WHERE id = 'a'")
    assert there == {"message_participants": 5, "message_folders": 1, "attachments": 1}

    land(knowing, [deleted("a", NOW + 1), envelope("message.updated", NOW, id="a", unread=True)])
    apply_offline(knowing)
    assert list(subjects(knowing)) == ["stays"]
    assert parts_of(knowing, "a") == dict.fromkeys(PARTS, 0)
    assert parts_of(knowing, "stays") == there

    # It comes back by an update that carries next to nothing.
    land(knowing, [envelope("message.updated", NOW + 2, id="a", unread=True)])
    apply_offline(knowing)
    assert parts_of(knowing, "a") == there
    assert ask(knowing, "SELECT * EXCLUDE observed_at FROM messages WHERE id = 'a'") == shown
    assert ask(knowing, "SELECT body FROM message_bodies WHERE id = 'a'") == [("<p>At noon</p>",)]


def test_deletion_and_restoring_at_the_provider_are_followed(follows: NearWorld) -> None:
    grant_id = follows.grant_id("google")
    identity = next(follows.simulator.truth(grant_id))["id"]
    follows.simulator.provider.delete(grant_id, identity)
    follows.settle()
    assert follows.wrong() == {}
    assert follows.ask("SELECT * FROM messages WHERE id = ?", [identity]) == []

    follows.simulator.clock.advance(2)
    follows.simulator.provider.restore(grant_id, identity)
    follows.settle()
    assert follows.wrong() == {}


def test_two_changes_in_one_second_are_settled_by_asking(near: Near) -> None:
    world = near(*SMALL, clock=SimulatedClock(start=float(int(time.time()) + 5)))
    world.follow()
    grant_id = world.grant_id("google")
    provider = world.simulator.provider
    flagged, gone, back, *_ = [message["id"] for message in world.simulator.truth(grant_id)]
    for unread in (True, False, True, False):
        provider.flag(grant_id, flagged, unread=unread)
    provider.flag(grant_id, gone, starred=True)
    provider.delete(grant_id, gone)
    provider.delete(grant_id, back)
    provider.restore(grant_id, back)
    world.simulator.postman.drain()
    report = world.apply()

    assert len(world.asked("message")) >= 3
    assert (report.waiting, waiting(world.data)) == (0, [])
    assert world.wrong() == {}


def test_a_tie_waits_until_its_second_is_over(knowing: Path) -> None:
    land(knowing, [created("a", subject="one"), created("a", subject="two")])
    apply_offline(knowing)

    assert ask(knowing, "SELECT object_id, reason, epoch(not_before)::BIGINT FROM fetches") == [
        ("a", "disputed", NOW + 1)
    ]


def test_an_api_out_of_reach_stops_no_notification_and_its_fetches_wait(follows: NearWorld) -> None:
    grant_id = follows.grant_id("google")
    large = follows.simulator.provider.arrive(grant_id, size=1_200_000, subject="Large")
    small = follows.simulator.provider.arrive(grant_id, subject="Small")
    follows.simulator.postman.drain()
    report = apply(follows.settings(api_uri=NOBODY_LISTENS, patience=0.01))

    assert (report.count("applied"), report.fetched, report.waiting) == (2, 0, 1)
    assert dict(follows.ask("SELECT id, subject FROM messages WHERE id IN (?, ?)", [large, small])) == {
        large: "Large",
        small: "Small",
    }
    assert waiting(follows.data) == [("message", large, "truncated")]

    report = follows.apply()
    assert (report.outcomes, report.fetched, report.waiting) == ({}, 1, 0)
    assert follows.wrong() == {}


def test_a_wrong_key_stops_the_run_after_what_landed_is_applied(follows: NearWorld) -> None:
    follows.simulator.provider.arrive(follows.grant_id("google"), size=1_200_000)
    follows.simulator.postman.drain()
    with pytest.raises(KeyRejected):
        apply(follows.settings(api_key="wrong"))
    assert len(waiting(follows.data)) == 1

    assert follows.apply().waiting == 0
    assert follows.wrong() == {}


def test_what_an_expired_grant_keeps_from_us_is_fetched_when_it_is_valid_again(follows: NearWorld) -> None:
    grant_id = follows.grant_id("google")
    follows.simulator.provider.arrive(grant_id, size=1_200_000)
    follows.simulator.provider.expire(grant_id)
    report = follows.settle()
    assert (report.waiting, [reason for *_, reason in waiting(follows.data)]) == (1, ["truncated"])

    follows.simulator.provider.arrive(grant_id, subject="Missed and sent later")
    follows.simulator.provider.reauthenticate(grant_id)
    report = follows.settle()
    assert (report.waiting, waiting(follows.data)) == (0, [])
    assert follows.wrong() == {}


def test_a_message_gone_before_it_was_fetched_is_let_go(follows: NearWorld) -> None:
    grant_id = follows.grant_id("google")
    new = follows.simulator.provider.arrive(grant_id, size=1_200_000)
    follows.simulator.postman.drain()
    follows.simulator.clock.advance(2)
    follows.simulator.provider.delete(grant_id, new)
    report = follows.apply()
    assert (report.fetched, report.waiting) == (1, 0)

    follows.settle()
    assert follows.wrong() == {}


def test_only_one_applies_at_a_time(knowing: Path) -> None:
    land(knowing, [created("a")])
    refused: list[RetryLater] = []

    def meanwhile(_: ApplyReport) -> None:
        with pytest.raises(AnotherApplies) as caught:
            apply_offline(knowing)
        refused.append(caught.value)

    report = apply(offline(knowing), on_batch=meanwhile)

    assert [report.count("applied"), len(refused)] == [1, 1]
    assert apply_offline(knowing).outcomes == {}


def test_an_applier_that_died_is_not_waited_for(knowing: Path, lake: Lake) -> None:
    land(knowing, [created("a")])
    with closing(Leases(knowing)) as other:
        with lake.locked():
            other.take(LEASE)
        with pytest.raises(AnotherApplies):
            apply_offline(knowing)

    assert apply_offline(knowing).count("applied") == 1


def test_what_lands_meanwhile_is_taken_along(knowing: Path) -> None:
    land(knowing, [created("a")])
    more = iter([[created("b")], [created("c")]])
    report = apply(offline(knowing), on_batch=lambda _: land(knowing, next(more, [])))

    assert (report.applied_up_to, report.count("applied")) == (3, 3)
    assert sorted(subjects(knowing)) == ["a", "b", "c"]


def test_an_interrupted_apply_goes_on_where_it_was(knowing: Path) -> None:
    land(knowing, [created(f"m{number}") for number in range(2_500)])

    def interrupt(_: ApplyReport) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(offline(knowing), on_batch=interrupt)
    done = ask(knowing, "SELECT count(*), max(number) FROM notifications")[0]
    assert 0 < done[0] == done[1] < 2_500
    report = apply_offline(knowing)

    assert report.count("applied") == 2_500 - done[0]
    assert ask(knowing, "SELECT count(*), count(DISTINCT id) FROM messages") == [(2_500, 2_500)]
    assert ask(knowing, "SELECT count(*), count(DISTINCT number) FROM notifications") == [(2_500, 2_500)]


def test_a_landing_table_older_than_the_lake_stops_the_run(knowing: Path) -> None:
    land(knowing, [created("a")])
    apply_offline(knowing)
    for path in knowing.glob("inbox.sqlite*"):
        path.unlink()

    with pytest.raises(StopRun, match="older than the lake"):
        apply_offline(knowing)
    # Its numbers begin anew: the first would be taken for applied.
    land(knowing, [created("b"), created("c")])
    with pytest.raises(StopRun, match="older than the lake"):
        apply_offline(knowing)


def test_a_lake_that_cut_the_microsecond_off_its_times_knows_its_landing_table(knowing: Path) -> None:
    land(knowing, [created("a")])
    apply_offline(knowing)
    with Lake(knowing) as lake, lake.transaction() as transaction:
        transaction.change(
            "notifications", "UPDATE notifications SET received_at = received_at - INTERVAL '1 microsecond'"
        )

    land(knowing, [created("b")])
    assert apply_offline(knowing).applied_up_to == 2
