"""Applying once more what was applied: it changes nothing, and mends what was dead."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mail_pipeline
from mail_pipeline.inbox.landing import Landing
from mail_pipeline.sync.apply import ApplyReport, Replay
from mail_pipeline_tests.live.envelopes import (
    GRANT,
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

TABLES = (
    *("all_messages", "message_bodies", "message_participants", "message_folders", "attachments"),
    *("all_grants", "all_folders", "all_contacts", "all_events", "dead_letters", "fetches"),
)
_CONTENTS = "SELECT DISTINCT COLUMNS(name -> name <> 'asked_at') FROM query_table(?)"
HISTORY: list[dict[str, Any] | bytes] = [
    envelope("message.created", NOW, whole("a")),
    envelope("message.updated", NOW + 1, whole("a"), unread=False, folders=["Archive"]),
    envelope("message.updated", NOW + 1, whole("a"), unread=True, folders=["Trash"]),
    b"no JSON",
    envelope("message.created", NOW, whole("b")),
    envelope("message.deleted", NOW + 2, id="b"),
    envelope("message.updated", NOW + 1, id="b", subject="Too late"),
    envelope("message.created.truncated", NOW, id="c"),
    envelope("message.created", NOW, whole("d"), subject="half \ud83d"),
    envelope("message.created", NOW, whole("e"), grant_id="stranger"),
    envelope("contact.updated", NOW, id="contact"),
    envelope("event.created", NOW, id="event", calendar_id="calendar", title="Lunch"),
    envelope("thread.replied", NOW, id="thread"),
    envelope("folder.created", NOW, id="folder"),
    envelope("grant.updated", NOW, id="grant"),
    envelope("message.created", NOW, whole("f"), subject=7),
]


@pytest.fixture
def applied(data: Path) -> Path:
    """Return the data folder of a lake that has applied HISTORY."""
    know(data, GRANT)
    land(data, HISTORY)
    apply_offline(data)
    return data


def contents(data: Path) -> dict[str, list[str]]:
    """Return what the tables hold, apart from when it was asked for."""
    with mail_pipeline.connect(data) as connection:
        return {
            table: sorted(map(repr, connection.execute(_CONTENTS, [table]).fetchall())) for table in TABLES
        }


def numbers(data: Path) -> list[int]:
    return [number for (number,) in ask(data, "SELECT number FROM notifications ORDER BY number")]


def replay(data: Path, what: str) -> ApplyReport:
    return apply_offline(data, Replay.read(what))


def test_replaying_the_whole_landing_table_gives_the_same_tables(applied: Path) -> None:
    before, told = contents(applied), outcomes(applied)
    report = replay(applied, "everything")

    assert report.outcomes.total() == len(HISTORY)
    assert contents(applied) == before
    assert outcomes(applied) == told
    assert numbers(applied) == list(range(1, len(HISTORY) + 1))


def test_replaying_the_whole_landing_table_fills_an_empty_lake_with_the_same_tables(
    applied: Path, tmp_path: Path
) -> None:
    fresh = tmp_path / "fresh"
    know(fresh, GRANT)
    for path in applied.glob("inbox.sqlite*"):
        (fresh / path.name).write_bytes(path.read_bytes())
    replay(fresh, "everything")

    assert contents(fresh) == contents(applied)
    assert outcomes(fresh) == outcomes(applied)


def test_a_replay_takes_what_has_landed_since_as_well(applied: Path) -> None:
    land(applied, [envelope("message.created", NOW, whole("new"))])
    report = replay(applied, "everything")

    assert report.outcomes.total() == len(HISTORY) + 1
    assert ask(applied, "SELECT count(*) FROM messages WHERE id = 'new'") == [(1,)]
    assert numbers(applied) == list(range(1, len(HISTORY) + 2))


def test_a_part_is_replayed_by_number_by_type_by_trigger_and_all_that_is_dead(applied: Path) -> None:
    dead_and_kept = [4, 10, 13, 16]

    def again(what: str) -> dict[tuple[str, str], int]:
        return dict(replay(applied, what).outcomes)

    assert [n for n, (outcome, _) in enumerate(outcomes(applied), 1) if outcome != "applied"] == dead_and_kept
    before = contents(applied)
    assert again("4") == {("dead", "unreadable"): 1}
    assert again("1") == {("applied", "message.created"): 1}
    assert again("999") == {}
    assert again("contact.updated") == {}
    assert again("thread.replied") == {("kept", "thread.replied"): 1}
    assert again("message.created") == {("dead", "message.created"): 2}
    assert again("message.updated") == {}
    assert sum(again("dead").values()) == len(dead_and_kept)
    assert contents(applied) == before
    assert numbers(applied) == list(range(1, len(HISTORY) + 1))


def test_a_replay_revives_no_deleted_message_and_turns_no_flag_back(applied: Path) -> None:
    land(
        applied,
        [
            envelope("message.updated", NOW + 9, id="a", unread=False, subject="Newest"),
            envelope("message.deleted", NOW + 9, id="d"),
        ],
    )
    apply_offline(applied)
    shown: list[Any] = ask(applied, "SELECT id, subject, unread FROM messages ORDER BY id")
    replay(applied, "1")
    replay(applied, "9")

    assert ("a", "Newest", False) in shown
    assert "d" not in {identity for identity, *_ in shown}
    assert ask(applied, "SELECT id, subject, unread FROM messages ORDER BY id") == shown


def test_dead_letters_of_a_grant_that_is_known_now_leave_with_their_reason(applied: Path) -> None:
    know(applied, "stranger")
    report = replay(applied, "10")

    assert report.outcomes == {("applied", "message.created"): 1}
    assert ask(applied, "SELECT id FROM messages WHERE grant_id = 'stranger'") == [("e",)]
    letters = ask(applied, "SELECT object_id FROM dead_letters WHERE object = 'notification' ORDER BY 1")
    assert letters == [("16",), ("4",)]


def test_what_retention_removed_is_not_replayed_and_its_rows_stay(applied: Path) -> None:
    before = contents(applied)
    with Landing.open(offline(applied)) as landing:
        landing.remove(up_to=8, received_before=4e9)
    report = replay(applied, "everything")

    assert report.outcomes.total() == len(HISTORY) - 8
    assert contents(applied) == before


def test_the_command_replays(applied: Path) -> None:
    before = contents(applied)

    def command(*arguments: str) -> dict[str, Any]:
        ran = subprocess.run(
            [sys.executable, "-m", "mail_pipeline.cli", "apply", "--json", *arguments],
            env={**os.environ, "MAIL_PIPELINE_DATA": str(applied)},
            capture_output=True,
            text=True,
            check=True,
        )
        said: dict[str, Any] = json.loads(ran.stdout)
        return said

    assert command("--replay", "everything")["applied_up_to"] == len(HISTORY)
    assert command("--replay", "thread.replied")["outcomes"] == [
        {"trigger": "thread.replied", "outcome": "kept", "count": 1}
    ]
    assert contents(applied) == before
