"""However mail changes between refreshes, the marts are what a build from nothing makes of it."""

import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mail_pipeline.lake.upkeep import upkeep
from mail_pipeline.lake.writer import Lake
from mail_pipeline.marts import refresh
from mail_pipeline.marts.refresh import refresh_marts
from mail_pipeline.marts.reporting import Reporting
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.records import read_messages
from mail_pipeline.sync.rows import PARTS
from mail_pipeline_tests.marts.mail import (
    HOUR,
    MADE,
    MONDAY,
    account,
    asked,
    contents,
    erase,
    folder,
    mailbox,
    message,
    sent,
    store,
)

Step = Callable[[Lake], None]

GRANTS = st.sampled_from(["g", "h"])
IDS = st.sampled_from([f"m{number}" for number in range(7)])
TIMES = st.integers(1, 40)
ADDRESSES = st.sampled_from(
    [
        "me@home.example",
        "Me@HOME.example ",
        "alias@home.example",
        "a.b+tag@gmail.com",
        "ab@googlemail.com",
        "no-reply@shop.example",
        "mailer-daemon@far.example",
        "other@far.example",
        "",
    ]
)
PEOPLE = st.lists(st.tuples(st.sampled_from(["", "Name", "Other"]), ADDRESSES), max_size=2)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "thread_id": st.sampled_from(["t", "u", None]),
    "subject": st.sampled_from(["Hello", "Fwd: Hello", "Out of office", None]),
    "date": st.none() | st.integers(0, 60).map(lambda hours: MONDAY + hours * HOUR),
    "from": PEOPLE,
    "to": PEOPLE,
    "cc": PEOPLE,
    "unread": st.booleans(),
    "folders": st.lists(st.sampled_from(["INBOX", "SENT", "DRAFT", "SPAM", "Own"]), max_size=2, unique=True),
    "attachments": st.lists(
        st.fixed_dictionaries(
            {
                "content_type": st.sampled_from(["Image/PNG; name=x", "image/png", None]),
                "size": st.none() | st.integers(0, 9),
                "is_inline": st.booleans(),
            }
        ).map(
            lambda known: {**dict.fromkeys(("id", "filename", "content_id", "content_disposition")), **known}
        ),
        max_size=2,
    ),
}


def seen(grant_id: str, found: list[Observation]) -> Step:
    return lambda lake: store(lake, *found, grant_id=grant_id)


def gone(grant_id: str, identity: str, at: int) -> Step:
    return seen(grant_id, [Observation(identity, at, gone=True)])


def tidied(lake: Lake) -> None:
    upkeep(lake)


def forgotten(grant_id: str) -> Step:
    return lambda lake: erase(lake, ["all_messages", *PARTS], grant_id)


OBSERVATIONS = st.builds(Observation, IDS, TIMES, st.fixed_dictionaries(FIELDS))
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(seen, GRANTS, st.lists(OBSERVATIONS, min_size=1, max_size=8)),
    st.builds(seen, GRANTS, st.lists(OBSERVATIONS, min_size=1, max_size=8)),
    st.builds(gone, GRANTS, IDS, TIMES),
    st.builds(
        lambda name, role, grant_id: lambda lake: folder(lake, name, role, grant_id),
        st.sampled_from(["INBOX", "SENT", "Own"]),
        st.sampled_from(["inbox", "sent", "junk", None]),
        GRANTS,
    ),
    st.builds(
        lambda grant_id, email, extra: lambda lake: account(lake, grant_id, email, extra),
        GRANTS,
        st.sampled_from(["me@home.example", "other@far.example", None]),
        st.sampled_from(["{}", '{"email_aliases": ["alias@home.example"]}']),
    ),
    st.builds(forgotten, GRANTS),
    st.just(tidied),
)


def copied(empty_lake: Path, place: str) -> Path:
    return Path(shutil.copytree(empty_lake, Path(place) / "data"))


def rebuilt(lake: Lake) -> dict[str, list[str]]:
    erase(lake, [*MADE, "mart_watermarks"])
    refresh_marts(lake.data)
    return contents(lake)


@given(st.lists(st.lists(STEPS, min_size=1, max_size=5), min_size=3, max_size=4))
# An example takes seconds: few by default, and none to shrink one that fails.
@settings(max_examples=settings().max_examples // 15, phases=[Phase.explicit, Phase.generate])
def test_any_changes_with_refreshes_between_end_as_one_build_from_nothing(
    empty_lake: Path, rounds: list[list[Step]]
):
    with tempfile.TemporaryDirectory() as place, Lake(copied(empty_lake, place)) as lake:
        mailbox(lake, "g")
        mailbox(lake, "h", "alias@home.example")
        for steps in rounds:
            for step in steps:
                step(lake)
            refresh_marts(lake.data)
        assert contents(lake) == rebuilt(lake)


def test_a_refresh_writes_only_what_has_changed(lake: Lake):
    mailbox(lake)
    store(lake, *(message(f"m{number}", thread_id=f"t{number}") for number in range(5)))
    assert refresh_marts(lake.data).messages == 5

    store(lake, message("m3", at=2, thread_id="t3", unread=False))
    seen_again = refresh_marts(lake.data)
    assert seen_again.messages == 1
    assert sum(seen_again.written.values()) == 0

    store(lake, sent("answer", thread_id="t3", date=MONDAY + HOUR))
    answered = refresh_marts(lake.data)
    assert answered.written["message_facts"] == answered.written["replies"] == 1
    assert answered.written["thread_stats"] == answered.removed["thread_stats"] == 1
    assert answered.rows["thread_stats"] == 5


def test_a_nul_in_whatever_rows_are_found_by_stops_no_refresh(lake: Lake):
    mailbox(lake, email="me\0@home.example")
    torn = {"thread_id": "~\0", "folders": ["~\0"], "subject": "\0", "date": MONDAY}
    page = [
        {"id": identity, **torn, "from": [{"email": f"~\0{identity}"}], "to": [{"email": "~\0@x.example"}]}
        for identity in ("~\0", "m")
    ]
    for at in (1, 2):
        store(lake, *read_messages(page, at=at)[0], message(f"n{at}", at=at, subject=f"{at}"))
        refresh_marts(lake.data)
        page[1]["from"] = [{"email": "\0"}]

    assert contents(lake) == rebuilt(lake)
    assert asked(lake, "SELECT messages FROM thread_stats WHERE thread_id LIKE '~%'") == [(1,)]


def test_upkeep_hides_no_change_and_loses_none(lake: Lake):
    mailbox(lake)
    for number in range(4):
        store(lake, message(f"m{number}"))
    refresh_marts(lake.data)
    store(lake, message("m1", at=5, subject="Changed"), Observation("m2", 5, gone=True))
    upkeep(lake)

    assert refresh_marts(lake.data).written["message_facts"] == 1
    assert asked(lake, "SELECT message_id, subject FROM message_facts ORDER BY ALL") == [
        ("m0", "Hello"),
        ("m1", "Changed"),
        ("m3", "Hello"),
    ]


def test_other_settings_make_everything_anew(lake: Lake):
    mailbox(lake)
    store(lake, message("m", date=MONDAY + 23 * HOUR))
    refresh_marts(lake.data)

    refresh_marts(lake.data, Reporting("Europe/Berlin"))

    assert asked(lake, "SELECT isodow(day), hour FROM daily_volume") == [(2, 0)]


def test_a_refresh_that_was_overtaken_begins_again(lake: Lake, monkeypatch: pytest.MonkeyPatch):
    mailbox(lake)
    store(lake, message("m"))
    write = refresh._Refresh._write
    others = iter([lambda: refresh_marts(lake.data)])

    def overtaken(self: refresh._Refresh, snapshot: int, at: datetime) -> None:
        monkeypatch.setattr(refresh._Refresh, "_write", write)
        for other in others:
            other()
        write(self, snapshot, at)

    monkeypatch.setattr(refresh._Refresh, "_write", overtaken)
    refresh_marts(lake.data)

    assert asked(lake, "SELECT count(*) FROM message_facts") == [(1,)]
    assert asked(lake, "SELECT count(*) FROM mart_watermarks") == [(1,)]
