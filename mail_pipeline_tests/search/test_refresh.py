import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_pipeline import connect
from mail_pipeline.errors import StopRun
from mail_pipeline.lake.upkeep import tidy
from mail_pipeline.lake.writer import Lake
from mail_pipeline.search.index import discard, index_path, opened
from mail_pipeline.search.refresh import Refreshed, erase, is_behind, refresh
from mail_pipeline.sync.merge import Observation
from mail_pipeline_tests.search.letters import contents, letter, store

WORDS = [
    "",
    "budget",
    "Bûdget",
    "budget\0 rise",
    "the budget is the budget",
    "<p>bud<b>get</b></p>",
    "年度報告",
]
texts = st.sampled_from(WORDS)
changes = st.one_of(
    st.builds(
        lambda identity, fields: Observation(identity, 0, dict(fields)),
        st.sampled_from("abcd"),
        st.fixed_dictionaries({}, optional={"subject": texts | st.none(), "unread": st.booleans()}),
    ),
    st.builds(letter, st.sampled_from("abcd"), texts, texts),
    st.builds(lambda identity: Observation(identity, 0, gone=True), st.sampled_from("abcd")),
)
steps = st.lists(st.tuples(st.lists(changes, min_size=1, max_size=5), st.booleans()), min_size=1, max_size=3)

DIES = """
import os, signal, sys
from pathlib import Path
from mail_pipeline.search import index, refresh
left, packed = int(sys.argv[2]), index._packed
def dying(*texts):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return packed(*texts)
index._packed, refresh._BATCH = dying, 10
refresh.refresh(Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """Return a lake whose history goes on from example to example."""
    with Lake(tmp_path_factory.mktemp("living") / "data") as lake:
        yield lake


clock = iter(range(1, 1_000_000))


@settings(max_examples=6)
@given(steps)
def test_after_any_history_the_index_is_what_a_fresh_one_would_be(living: Lake, history):
    for observations, tidied in history:
        for observation in observations:
            observation.at = next(clock)
        store(living, observations)
        if tidied:
            tidy(living, bodies=True)
        refresh(living.data)
    kept = contents(living.data)
    discard(living.data)
    refresh(living.data)

    assert kept == contents(living.data)
    assert not is_behind(living.data)


def test_each_refresh_does_only_what_has_changed(lake: Lake):
    store(lake, [letter(f"{number}", "Budget", f"Number {number}") for number in range(20)])
    assert is_behind(lake.data)
    first = refresh(lake.data)
    assert (first.documents, first.indexed, first.removed) == (20, 20, 0)
    assert first.size_bytes > 0

    store(
        lake,
        [
            Observation("1", 2, {"unread": True}),
            letter("2", "Budget", "another body", at=2),
            letter("new", "", "", at=2),
            Observation("3", 2, gone=True),
        ],
    )
    second = refresh(lake.data)
    assert (second.documents, second.indexed, second.removed) == (20, 2, 2)

    third = refresh(lake.data)
    assert (third.documents, third.indexed, third.removed) == (20, 0, 0)


def test_no_word_of_a_deleted_message_is_left_in_the_file(lake: Lake):
    odd = "Zwetschgendatschi " * 300
    store(lake, [letter("a", "Xylophonic", odd), *(letter(f"{n}", "Budget", f"rise {n}") for n in range(15))])
    refresh(lake.data)
    assert b"wetschgendatschi" in index_path(lake.data).read_bytes()
    store(lake, [Observation("a", 2, gone=True)])
    refresh(lake.data)

    assert index_path(lake.data).read_bytes().count(b"wetschgendatschi") == 0
    with opened(lake.data) as index:
        assert index.count() == 15


@pytest.mark.parametrize("documents", [0, 7, 34])
def test_kill_9_in_the_middle_of_a_refresh_leaves_what_was_committed_and_the_next_goes_on(
    lake: Lake, documents: int
):
    store(lake, [letter(f"{number}", "Budget", f"Number {number}") for number in range(40)])

    killed = subprocess.run([sys.executable, "-c", DIES, lake.data, f"{documents}"], check=False)

    assert killed.returncode == -signal.SIGKILL
    with opened(lake.data) as index:
        assert index.count() == documents // 10 * 10
        assert index.lake() is None
    assert refresh(lake.data).indexed == 40 - documents // 10 * 10
    whole = contents(lake.data)
    discard(lake.data)
    refresh(lake.data)
    assert whole == contents(lake.data)


def test_two_refreshes_at_once_end_as_one(lake: Lake):
    store(lake, [letter(f"{number}", "Budget", f"Number {number}") for number in range(300)])
    program = "import sys; from pathlib import Path; from mail_pipeline.search.refresh import refresh; " + (
        "print(refresh(Path(sys.argv[1])).indexed)"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", program, lake.data], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]

    said = sorted(int(process.communicate()[0]) for process in both)

    assert [process.returncode for process in both] == [0, 0]
    assert said == [0, 300]


@pytest.mark.parametrize("damage", ["no database", "torn", "of another format", "lost"])
def test_an_index_that_is_damaged_old_or_lost_is_made_anew(lake: Lake, damage: str):
    store(lake, [letter(f"{number}", "Budget", f"Number {number} " * 500) for number in range(30)])
    refresh(lake.data)
    whole = contents(lake.data)
    path = index_path(lake.data)
    if damage == "no database":
        path.write_text("no database at all" * 500)
    elif damage == "torn":
        os.truncate(path, path.stat().st_size // 2)
    elif damage == "of another format":
        with closing(sqlite3.connect(path)) as index:
            index.execute("PRAGMA user_version = 999")
    else:
        discard(lake.data)
    # Nothing in the lake has to change for it to be noticed.
    store(lake, [letter("new", "Budget", "", at=3)])

    refresh(lake.data)

    store(lake, [Observation("new", 4, gone=True)])
    refresh(lake.data)
    assert contents(lake.data) == whole


def test_a_lake_that_was_made_anew_is_not_taken_for_the_old_one(tmp_path: Path):
    for subject in ("Before", "After"):
        with Lake(tmp_path / "data") as lake:
            store(lake, [letter("a", subject, "")])
        refresh(tmp_path / "data")
        (tmp_path / "data" / "lake").rename(tmp_path / subject)
    (tmp_path / "After").rename(tmp_path / "data" / "lake")

    with connect(tmp_path / "data") as connection:
        found = connection.execute("SELECT count(*) FROM search('after')").fetchall()
        gone = connection.execute("SELECT count(*) FROM search('before')").fetchall()
    assert (found, gone) == ([(1,)], [(0,)])


def test_an_index_is_not_erased_under_a_refresh(lake: Lake):
    store(lake, [letter("a", "one", "first"), letter("b", "two", "second")])
    erasing = threading.Thread(target=erase, args=(lake.data,))

    def meanwhile(_: Refreshed) -> None:
        if not erasing.ident:
            erasing.start()
            erasing.join(0.3)
            assert index_path(lake.data).exists()

    refresh(lake.data, meanwhile)
    erasing.join()
    assert not index_path(lake.data).exists()
    assert refresh(lake.data).documents == 2


def test_where_no_index_is_there_is_none_to_erase(tmp_path: Path):
    erase(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_lake_no_index_is_made(tmp_path: Path):
    with pytest.raises(StopRun, match="There is no lake"):
        refresh(tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_everything_of_it_lies_in_the_data_folder(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    store(lake, [letter("a", "Budget", "")])
    refresh(lake.data)

    assert list(elsewhere.iterdir()) == []
    assert {path.name for path in (lake.data / "search").iterdir()} <= {"index.sqlite", "refresh.lock"}
