"""The landing table keeps everything once, in the order of storing, on both databases."""

import sqlite3
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.errors import MailPipelineError, RetryLater, StopRun
from mail_pipeline.inbox.landing import Delivery, Landed, Landing
from mail_pipeline.settings import Settings
from mail_pipeline_tests.disks import fill, small_disk
from mail_pipeline_tests.inbox.conftest import Postgres

PLENTY = 10**9


def delivery(body: bytes = b"{}", received_at: float = 1_700_000_000.25) -> Delivery:
    return Delivery(received_at, {"content-type": "application/json", "x-note": "caf\xe9"}, body)


def deliveries(count: int) -> list[Delivery]:
    return [delivery(str(number).encode()) for number in range(count)]


def bodies(rows: Sequence[Delivery]) -> list[bytes]:
    return [row.body for row in rows]


def everything(landing: Landing) -> list[Landed]:
    return landing.after(0, limit=PLENTY, max_bytes=PLENTY)


def store_at_last(landing: Landing, group: Sequence[Delivery]) -> None:
    """Store as a sender would that sends again what was not taken: SQLite's waiting is not always fair."""
    while True:
        try:
            return landing.store(group)
        except RetryLater:
            continue


def test_a_delivery_comes_back_as_it_was(landing: Landing):
    sent = [delivery(bytes(range(256))), Delivery(0.0, {}, b"")]

    landing.store(sent)

    assert [Delivery(row.received_at, row.headers, row.body) for row in everything(landing)] == sent


def test_storing_nothing_does_nothing(landing: Landing):
    landing.store([])

    assert (landing.count(), landing.newest()) == (0, 0)


def test_what_was_stored_is_there_after_opening_again(settings: Settings):
    with Landing.open(settings) as landing:
        landing.store(deliveries(3))
    with Landing.open(settings) as landing:
        assert bodies(everything(landing)) == [b"0", b"1", b"2"]


def test_a_group_larger_than_one_statement_is_stored_in_order(landing: Landing):
    landing.store(deliveries(1_203))

    rows = everything(landing)
    assert bodies(rows) == [str(number).encode() for number in range(1_203)]
    assert [row.number for row in rows] == list(range(1, 1_204))


def test_reading_goes_on_where_it_stopped(landing: Landing):
    landing.store(deliveries(10))
    found: list[bytes] = []
    last = 0
    while rows := landing.after(last, limit=3, max_bytes=PLENTY):
        assert len(rows) <= 3
        found += bodies(rows)
        last = rows[-1].number

    assert found == bodies(deliveries(10))


def test_a_page_ends_before_it_grows_too_large(landing: Landing):
    landing.store([delivery(bytes(size)) for size in (10, 10, 11, 500, 1)])

    def sizes(number: int, most: int) -> list[int]:
        return [len(row.body) for row in landing.after(number, limit=100, max_bytes=most)]

    assert sizes(0, 30) == [10, 10]
    assert sizes(0, 31) == [10, 10, 11]
    # One is always given, or reading would never get past it.
    assert sizes(3, 1) == [500]
    assert sizes(5, 100) == []


def test_rows_are_found_by_number(landing: Landing):
    landing.store(deliveries(1_000))

    wanted = [*range(1_000, 0, -1), 5_000, 7]
    assert [row.number for row in landing.get(wanted)] == list(range(1, 1_001))
    assert landing.get([]) == []


def test_retention_removes_what_is_old_and_applied(landing: Landing):
    landing.store([delivery(received_at=float(number)) for number in range(1, 11)])

    assert landing.remove(up_to=8, received_before=6.0, keep={2, 4}) == 3
    assert [row.number for row in everything(landing)] == [2, 4, 6, 7, 8, 9, 10]
    assert landing.count() == 7
    assert landing.remove(up_to=8, received_before=6.0, keep={2, 4}) == 0


def test_retention_works_through_any_number_of_rows(landing: Landing):
    landing.store(deliveries(1_700))

    assert landing.remove(up_to=1_700, received_before=2e9, keep=range(1, 1_700, 100)) == 1_683
    assert landing.count() == 17


def test_a_number_is_never_given_twice(settings: Settings):
    with Landing.open(settings) as landing:
        landing.store(deliveries(4))
        assert landing.remove(up_to=4, received_before=2e9) == 4
        assert (landing.newest(), landing.count()) == (4, 0)
    with Landing.open(settings) as landing:
        landing.store(deliveries(1))
        assert [row.number for row in everything(landing)] == [5]
        assert landing.newest() == 5


def test_whoever_reads_by_number_misses_nothing_while_many_store(settings: Settings):
    stores, each = 4, 60
    done = threading.Event()

    def store(name: int) -> None:
        with Landing.open(settings) as landing:
            for number in range(each):
                store_at_last(landing, [delivery(f"{name}-{number}-{part}".encode()) for part in range(3)])

    def read() -> list[bytes]:
        found: list[bytes] = []
        last = 0
        with Landing.open(settings) as landing:
            while True:
                ended = done.is_set()
                rows = landing.after(last, limit=50, max_bytes=PLENTY)
                found += bodies(rows)
                if rows:
                    last = rows[-1].number
                elif ended:
                    return found

    with ThreadPoolExecutor(stores + 1) as threads:
        reader = threads.submit(read)
        try:
            list(threads.map(store, range(stores)))
        finally:
            done.set()
        found = reader.result()

    assert len(found) == stores * each * 3
    assert len(set(found)) == len(found)


def test_several_may_make_the_table_at_once(settings: Settings):
    def open_and_store(_: int) -> None:
        with Landing.open(settings) as landing:
            landing.store(deliveries(1))

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(open_and_store, range(6)))

    with Landing.open(settings) as landing:
        assert landing.count() == 6


def test_times_without_any_receiver_are_silences(landing: Landing):
    assert landing.silences(longer_than=0, until=100) == []
    landing.beat("a", 1_000.0, started=True)
    landing.beat("a", 1_015.0)
    landing.beat("b", 1_100.0, started=True)
    landing.beat("c", 1_110.0, started=True)
    landing.beat("c", 1_300.0)
    landing.beat("b", 1_400.0)
    landing.beat("a", 2_000.0, started=True)

    assert landing.silences(longer_than=60) == [(1_015.0, 1_100.0), (1_400.0, 2_000.0)]
    assert landing.silences(longer_than=85) == [(1_400.0, 2_000.0)]
    assert landing.silences(longer_than=600) == []
    assert landing.silences(longer_than=60, until=2_061.0)[-1] == (2_000.0, 2_061.0)
    assert landing.silences(longer_than=60, until=2_060.0)[-1] == (1_400.0, 2_000.0)


def test_a_heartbeat_never_goes_back(landing: Landing):
    landing.beat("a", 100.0, started=True)
    landing.beat("a", 200.0)
    landing.beat("a", 150.0)
    landing.beat("b", 300.0, started=True)

    assert landing.silences(longer_than=0) == [(200.0, 300.0)]


stretches = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), min_size=1, max_size=8)


@given(stretches)
def test_a_second_is_silent_or_some_receiver_was_up(tmp_path_factory, ups: list[tuple[int, int]]):
    folder = tmp_path_factory.mktemp("beats")
    with Landing.open(Settings(data=folder)) as landing:
        for number, (start, length) in enumerate(ups):
            landing.beat(str(number), float(start), started=True)
            landing.beat(str(number), float(start + length))
        silent = landing.silences(longer_than=0)

    first, last = min(start for start, _ in ups), max(start + length for start, length in ups)
    for second in range(first, last):
        middle = second + 0.5
        up = any(start < middle < start + length for start, length in ups)
        assert up != any(start < middle < end for start, end in silent)


def test_a_full_disk_stores_nothing_and_is_told(tmp_path: Path):
    with small_disk(tmp_path / "disk") as disk, Landing.open(Settings(data=disk)) as landing:
        landing.store(deliveries(2))
        filler = fill(disk)
        with pytest.raises(StopRun, match="full"):
            landing.store([delivery(bytes(50_000))] * 3)
        filler.unlink()
        landing.store(deliveries(1))

        assert bodies(everything(landing)) == [b"0", b"1", b"0"]


def test_a_locked_file_is_waited_for_and_then_told(tmp_path: Path):
    with Landing.open(Settings(data=tmp_path)) as landing:
        locking = sqlite3.connect(tmp_path / "inbox.sqlite", isolation_level=None)
        locking.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        with pytest.raises(RetryLater):
            landing.store(deliveries(1))
        assert time.monotonic() - started > 2
        locking.execute("ROLLBACK")
        locking.close()
        landing.store(deliveries(1))

        assert landing.count() == 1


def test_a_file_that_is_no_database_is_told(tmp_path: Path):
    (tmp_path / "inbox.sqlite").write_bytes(b"These are my notes. " * 500)

    with pytest.raises(StopRun, match="no SQLite file") as caught:
        Landing.open(Settings(data=tmp_path))
    assert caught.value.next_step


def test_a_data_folder_that_cannot_be_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StopRun):
        Landing.open(Settings(data=tmp_path / "file" / "data"))


def test_an_address_that_cannot_be_read_is_told_without_its_password():
    with pytest.raises(StopRun, match="cannot be read as an address") as caught:
        Landing.open(Settings(database_url="postgresql://me:hunter2@host:port/db"))
    assert "hunter2" not in str(caught.value)


def test_a_server_out_of_reach_is_told_without_its_password():
    with pytest.raises(RetryLater, match="does not answer") as caught:
        Landing.open(Settings(database_url="postgresql://me:hunter2@127.0.0.1:1/db"))
    assert "hunter2" not in str(caught.value)


def test_a_server_that_went_away_is_told_and_found_again(postgres: Postgres, tmp_path: Path):
    settings = Settings(database_url=postgres.new_database(tmp_path.name))
    with Landing.open(settings) as landing:
        landing.store([delivery(b"before")])
        postgres.stop()
        try:
            with pytest.raises(RetryLater) as caught:
                landing.store([delivery(b"private words")])
        finally:
            postgres.start()
        assert "private words" not in str(caught.value)
        landing.store([delivery(b"after")])

        assert bodies(everything(landing)) == [b"before", b"after"]


def test_a_user_who_may_not_write_is_told(postgres: Postgres, tmp_path: Path):
    url = postgres.new_database(tmp_path.name)
    settings = Settings(database_url=f"{url}&options=-c%20default_transaction_read_only=on")

    with pytest.raises(StopRun, match="cannot be written"):
        Landing.open(settings)


@pytest.mark.parametrize("rows", [1, 700])
def test_no_error_shows_a_body(tmp_path: Path, rows: int):
    with Landing.open(Settings(data=tmp_path)) as landing:
        landing.store(deliveries(1))
        broken = sqlite3.connect(tmp_path / "inbox.sqlite", isolation_level=None)
        broken.execute("DROP TABLE notifications")
        broken.close()
        with pytest.raises(Exception, match="notifications") as caught:
            landing.store([replace(delivery(), body=b"private words")] * rows)

    assert not isinstance(caught.value, MailPipelineError)
    assert "private words" not in str(caught.value)
