"""One worker per grant: a lease is free at once when its holder is dead, and a late holder writes nothing."""

import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from mail_pipeline.errors import StopRun
from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.leases import LeaseLost, Leases
from mail_pipeline_tests.disks import fill, small_disk
from mail_pipeline_tests.sync.leasing import Worker, run_out

Open = Callable[[], Leases]


@pytest.fixture
def open_leases(data: Path) -> Iterator[Open]:
    """Open the leases as one process after the other would."""
    with ExitStack() as stack:

        def start() -> Leases:
            leases = Leases(data)
            stack.callback(leases.close)
            return leases

        yield start


def test_a_grant_has_one_worker_until_it_is_given_back(open_leases: Open) -> None:
    mine, yours = open_leases(), open_leases()

    assert mine.take("g") == 1
    assert yours.take("g") is None
    assert mine.take("g") is None
    assert mine.check("g") == 1
    with pytest.raises(LeaseLost):
        yours.check("g")

    mine.give_back("g")
    with pytest.raises(LeaseLost):
        mine.check("g")
    assert yours.take("g") == 2


def test_grants_do_not_stand_in_each_others_way(open_leases: Open) -> None:
    mine, yours = open_leases(), open_leases()

    assert (mine.take("g"), yours.take("h")) == (1, 1)
    mine.give_back("g")
    assert yours.check("h") == 1


def test_the_fencing_number_grows_with_every_change_of_hands(open_leases: Open) -> None:
    hands = [open_leases() for _ in range(3)]
    fences = []
    for each in (*hands, *hands):
        fences.append(each.take("g"))
        each.give_back("g")

    assert fences == [1, 2, 3, 4, 5, 6]


def test_of_many_that_ask_at_once_one_gets_it(open_leases: Open, lake: Lake) -> None:
    asking = [open_leases() for _ in range(6)]

    def take(leases: Leases) -> int | None:
        with lake.locked():
            return leases.take("g")

    with ThreadPoolExecutor(6) as pool:
        fences = list(pool.map(take, asking))
    assert sorted(fences, key=str) == [1, None, None, None, None, None]


def test_closing_gives_everything_back_and_leaves_nothing_behind(data: Path, open_leases: Open) -> None:
    closing_down = Leases(data)
    closing_down.take("g")
    closing_down.take("h")
    closing_down.close()

    other = open_leases()
    assert (other.take("g"), other.take("h")) == (2, 2)
    assert [path.name for path in (data / "workers").iterdir()] == [f"{other.holder}.lock"]


def test_a_killed_workers_lease_is_free_at_once_and_a_living_ones_is_not(
    data: Path, open_leases: Open
) -> None:
    mine = open_leases()
    with Worker(data) as worker:
        assert worker.ask("take", "g") == "1"
        assert mine.take("g") is None
        worker.pause()
        assert mine.take("g") is None
        worker.kill()
        assert mine.take("g") == 2
    assert [path.name for path in (data / "workers").iterdir()] == [f"{mine.holder}.lock"]


def test_a_worker_that_slept_through_a_takeover_cannot_write(data: Path, open_leases: Open) -> None:
    with Lake(data) as lake, Worker(data) as sleeper, Worker(data) as taker:
        assert sleeper.ask("take", "g") == "1"
        assert sleeper.ask("store", "g", "before") == "stored"
        sleeper.pause()
        sleeper.tell("store", "g", "late")
        assert taker.ask("take", "g") == "held"
        run_out(data, "g")
        assert taker.ask("take", "g") == "2"
        assert taker.ask("store", "g", "after") == "stored"
        sleeper.go_on()

        assert sleeper.answer() == "LeaseLost"
        assert sleeper.ask("store", "g", "later") == "LeaseLost"
        assert taker.ask("store", "g", "last") == "stored"
        assert sorted(lake.column("SELECT id FROM all_messages")) == ["after", "before", "last"]


def test_the_loser_of_a_lease_cannot_give_back_what_is_anothers(data: Path, open_leases: Open) -> None:
    loser, winner, third = open_leases(), open_leases(), open_leases()
    loser.take("g")
    run_out(data, "g")
    winner.take("g")
    loser.give_back("g")

    assert winner.check("g") == 2
    assert third.take("g") is None


def renewed(data: Path) -> bool:
    """Wait until the lease of g runs for the better part of a minute again."""
    deadline = time.monotonic() + 30
    with closing(sqlite3.connect(data / "state.sqlite", timeout=30)) as connection:
        while time.monotonic() < deadline:
            (expires_at,) = connection.execute("SELECT expires_at FROM leases").fetchone()
            if expires_at > time.time() + 30:
                return True
    return False


def test_a_lease_is_renewed_while_its_holder_lives(data: Path, open_leases: Open) -> None:
    mine = Leases(data, renew_every=0.01)
    mine.take("g")
    run_out(data, "g")

    assert renewed(data)
    assert open_leases().take("g") is None
    mine.close()


def test_renewing_goes_on_after_a_failure(
    data: Path, open_leases: Open, caplog: pytest.LogCaptureFixture
) -> None:
    mine = Leases(data, renew_every=0.01)
    mine.take("g")
    with closing(sqlite3.connect(data / "state.sqlite", timeout=30)) as connection:
        connection.execute("ALTER TABLE leases RENAME TO hidden")
        deadline = time.monotonic() + 30
        while "Could not renew the leases" not in caplog.text:
            assert time.monotonic() < deadline
        connection.execute("ALTER TABLE hidden RENAME TO leases")
    assert "OperationalError" in caplog.text
    assert "no such table" not in caplog.text, "the log says where and of what kind, not what an error says"
    run_out(data, "g")

    assert renewed(data)
    assert mine.check("g") == 1
    mine.close()


def put(data: Path, holder: str, expires_at: float) -> None:
    with closing(sqlite3.connect(data / "state.sqlite")) as connection, connection:
        connection.execute("INSERT INTO leases VALUES ('g', 7, ?, ?)", [holder, expires_at])


@pytest.mark.parametrize("host", ["elsewhere", f"{socket.gethostname()}-2"])
def test_another_machines_lease_is_waited_for_until_it_runs_out(
    data: Path, open_leases: Open, host: str
) -> None:
    mine = open_leases()
    put(data, f"{host}-4711-0a1b2c3d", time.time() + 60)
    assert mine.take("g") is None

    run_out(data, "g")
    assert mine.take("g") == 8


def test_a_lease_of_this_machine_without_a_living_holder_is_free(data: Path, open_leases: Open) -> None:
    mine = open_leases()
    put(data, f"{socket.gethostname()}-4711-0a1b2c3d", time.time() + 60)

    assert mine.take("g") == 8


def test_a_lost_lease_says_that_there_is_nothing_to_do() -> None:
    assert str(LeaseLost("g")) == (
        "Another worker has taken over grant g. Nothing to do: that worker goes on from the last stored page."
    )


def test_on_a_full_disk_the_run_stops_and_giving_back_does_not_fail(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        mine = Leases(disk)
        mine.take("g")
        filler = fill(disk)
        with pytest.raises(StopRun, match="is full"):
            mine.take("h")
        mine.give_back("g")
        filler.unlink()
        assert mine.take("h") == 1
        mine.close()


def test_a_folder_that_cannot_be_made_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "workers").write_text("in the way")

    with pytest.raises(StopRun, match="a file stands in its way"):
        Leases(tmp_path)
