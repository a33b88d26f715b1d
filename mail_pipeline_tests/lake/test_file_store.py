"""Files under the hash of what is in them: in a folder and in a bucket the same."""

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import fs

from mail_pipeline.errors import RetryLater, StopRun
from mail_pipeline.lake.attachment_upkeep import claim, forget_files, remove_orphans
from mail_pipeline.lake.file_store import FileStore, path_of
from mail_pipeline.lake.schema import TABLES
from mail_pipeline.lake.writer import Lake
from mail_pipeline_tests.buckets import bucket

CONTENTS = [b"", b"one", b"x" * 6_000_000]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with bucket() as address:
        yield address


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, data: Path) -> FileStore:
    """Return an empty store."""
    if request.param == "folder":
        return FileStore.open(data)
    address = request.getfixturevalue("address")
    store = FileStore.open(data, address)
    with suppress(FileNotFoundError):
        store._filesystem.delete_file(f"{store._root}/owner")
    for hashes in list(store.listed(older_than=-60)):
        store.remove(hashes)
    return store


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def put(store: FileStore, content: bytes) -> str:
    with store.spool() as file:
        file.write(content)
        store.put(file, digest(content), len(content))
    return digest(content)


def held(store: FileStore) -> set[str]:
    return set().union(*store.listed(older_than=-60))


def read(store: FileStore, sha256: str) -> bytes:
    return store._filesystem.open_input_stream(f"{store._root}/{path_of(sha256)}").read()


def refer(lake: Lake, *references: tuple[str, str]) -> None:
    """Write rows of grants that have these files."""
    columns = TABLES["attachment_files"].arrow
    rows = [
        dict.fromkeys(columns.names)
        | {"grant_id": grant, "message_id": f"m{n}", "position": 0, "state": "stored", "sha256": sha256}
        for n, (grant, sha256) in enumerate(references)
    ]
    with lake.transaction() as transaction:
        transaction.append("attachment_files", pa.Table.from_pylist(rows, schema=columns))


def references(lake: Lake) -> list[tuple[str, str | None]]:
    rows = lake.table("SELECT grant_id, sha256 FROM attachment_files ORDER BY ALL").to_pylist()
    return [(row["grant_id"], row["sha256"]) for row in rows]


def test_what_is_put_is_there_once_under_its_hash_and_of_its_size(store: FileStore) -> None:
    hashes = [put(store, content) for content in [*CONTENTS, *CONTENTS]]

    assert held(store) == set(hashes) == set(map(digest, CONTENTS))
    assert [read(store, digest(content)) for content in CONTENTS] == CONTENTS
    sizes = {digest(content): len(content) for content in CONTENTS}
    assert store.present({**sizes, digest(b"two"): 3}) == set(sizes)
    assert store.present({digest(b"one"): 2}) == set()
    store.remove([digest(b"one"), digest(b"never there")])
    assert held(store) == set(sizes) - {digest(b"one")}


def test_half_a_file_that_lies_there_is_replaced(store: FileStore) -> None:
    put(store, b"whole")
    with store._filesystem.open_output_stream(f"{store._root}/{path_of(digest(b'whole'))}") as half:
        half.write(b"who")
    put(store, b"whole")
    assert read(store, digest(b"whole")) == b"whole"


def test_a_grants_files_go_unless_another_grant_has_them_too(store: FileStore, lake: Lake) -> None:
    own, shared, other = (put(store, content) for content in (b"own", b"shared", b"other"))
    refer(lake, ("g", own), ("g", own), ("g", shared), ("h", shared), ("h", other))

    assert forget_files(lake, store, "g") == 1

    assert held(store) == {shared, other}
    assert references(lake) == sorted([("h", shared), ("h", other)])
    assert forget_files(lake, store, "g") == 0
    assert forget_files(lake, store, "h") == 2
    assert held(store) == set()


def test_forgetting_that_was_interrupted_ends_the_same_when_it_is_done_again(
    store: FileStore, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [put(store, bytes([number])) for number in range(5)]
    refer(lake, *(("g", each) for each in files))
    monkeypatch.setattr("mail_pipeline.lake.attachment_upkeep._AT_ONCE", 2)
    remove, calls = store.remove, iter(range(9))

    def interrupted(hashes: list[str]) -> None:
        remove(hashes)
        if next(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(store, "remove", interrupted)
    with pytest.raises(KeyboardInterrupt):
        forget_files(lake, store, "g")
    assert len(references(lake)) == 3

    forget_files(lake, store, "g")

    assert (held(store), references(lake)) == (set(), [])


def test_files_nobody_refers_to_are_removed_once_they_are_a_day_old(
    store: FileStore, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, orphan = put(store, b"kept"), put(store, b"orphan")
    refer(lake, ("g", kept))
    assert remove_orphans(lake, store) == 0
    assert held(store) == {kept, orphan}

    later = time.time() + 90_000
    monkeypatch.setattr("mail_pipeline.lake.file_store.time.time", lambda: later)
    assert remove_orphans(lake, store) == 1
    assert set().union(*store.listed(older_than=0)) == {kept}


def test_what_a_killed_process_left_half_fetched_is_removed_once_it_is_a_day_old(data: Path) -> None:
    store = FileStore.open(data)
    with store.spool() as file:
        old = Path(file.name).with_name("old.part")
        old.write_bytes(b"half")
        os.utime(old, (0, 0))
        assert store.remove_leftovers() == 1
        assert Path(file.name).exists()
    assert list(Path(file.name).parent.iterdir()) == []


def test_only_files_with_a_hash_for_a_name_are_ever_touched(data: Path, lake: Lake) -> None:
    store = FileStore.open(data)
    orphan = put(store, b"orphan")
    folder = data / "attachments"
    mine = [folder / "notes.txt", folder / orphan[:2] / "notes.txt", folder / "xy" / ("0" * 64)]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    for path in (*mine, folder / path_of(orphan)):
        os.utime(path, (0, 0))

    assert remove_orphans(lake, store) == 1

    assert [path.read_text() for path in mine] == ["mine"] * 3


def test_a_file_is_synced_before_it_has_its_name_and_then_its_folder(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore.open(data)
    steps = []
    sync, replace = os.fsync, Path.replace

    def noting_sync(descriptor: int) -> None:
        steps.append(Path(f"/proc/self/fd/{descriptor}").readlink().name.partition(".")[2] or "folder")
        sync(descriptor)

    def noting_replace(path: Path, target: str | Path) -> Path:
        steps.append("name")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noting_sync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    put(store, b"one")

    assert steps == ["part", "name", "folder", "folder", "folder"]


def test_many_threads_with_the_same_bytes_end_with_one_file(data: Path) -> None:
    store = FileStore.open(data)
    start, failures = threading.Barrier(8), list[BaseException]()

    def work() -> None:
        start.wait()
        try:
            put(store, b"the same" * 10_000)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert held(store) == {digest(b"the same" * 10_000)}


def test_a_bucket_that_is_not_there_is_told_of_with_the_next_step(data: Path, address: str) -> None:
    store = FileStore.open(data, address.replace("s3://mail/", "s3://nobodys/"))
    with pytest.raises(RetryLater, match="MAIL_PIPELINE_ATTACHMENTS") as caught:
        put(store, b"one")
    assert "exists" in caught.value.next_step


def test_an_address_that_cannot_be_one_is_refused(data: Path) -> None:
    with pytest.raises(StopRun, match="expected s3://bucket/prefix"):
        FileStore.open(data, "s3://mail/x?no_such_option=1")


def test_a_folder_of_ones_own_is_used_where_it_is_named(data: Path, tmp_path: Path) -> None:
    sha256 = put(FileStore.open(data, str(tmp_path / "own")), b"one")
    assert (tmp_path / "own" / path_of(sha256)).read_bytes() == b"one"
    assert not (data / "attachments").exists()
    assert isinstance(FileStore.open(data)._filesystem, fs.LocalFileSystem)


def test_a_place_of_another_lake_is_refused_and_none_of_its_files_touched(
    address: str, lake: Lake, tmp_path: Path
) -> None:
    for number, place in enumerate((address, str(tmp_path / "shared"))):
        others = tmp_path / f"other-{number}"
        mine = FileStore.open(lake.data, place)
        claim(lake, mine)
        claim(lake, mine)
        sha256 = put(mine, b"mine")
        with Lake(others) as other:
            theirs = FileStore.open(other.data, place)
            for step in (claim, remove_orphans):
                with pytest.raises(StopRun, match="another data folder"):
                    step(other, theirs)
        assert held(mine) >= {sha256}
        assert not (others / "attachments").exists()
    claim(lake, FileStore.open(lake.data))
    assert not (lake.data / "attachments" / "owner").exists()
