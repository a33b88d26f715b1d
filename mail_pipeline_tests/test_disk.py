"""What a disk answers is classed by what to do about it."""

import errno
import os
import sqlite3
from pathlib import Path

import duckdb
import pytest

from mail_pipeline.disk import database_error, disk_errors
from mail_pipeline.errors import MailPipelineError, RetryLater, StopRun
from mail_pipeline.lake.connection import catalog_path, connect
from mail_pipeline.lake.writer import Lake


def answer(data: Path, error: Exception) -> None:
    with disk_errors(data):
        raise error


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number), "/somewhere")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (os_error(errno.ENOSPC), StopRun, "full"),
        (os_error(errno.EDQUOT), StopRun, "full"),
        (os_error(errno.EROFS), StopRun, "cannot be written"),
        (os_error(errno.EACCES), StopRun, "cannot be written"),
        (os_error(errno.EPERM), StopRun, "cannot be written"),
        (os_error(errno.EEXIST), StopRun, "a file stands in its way"),
        (os_error(errno.ENOTDIR), StopRun, "a file stands in its way"),
        (os_error(errno.ENOENT), StopRun, "cannot be made"),
        (duckdb.IOException("Could not write file: No space left on device"), StopRun, "full"),
        (duckdb.Error("Failed to commit: database or disk is full"), StopRun, "full"),
        (duckdb.Error("attempt to write a readonly database"), StopRun, "cannot be written"),
        (duckdb.IOException("Cannot open file: Permission denied"), StopRun, "cannot be written"),
        (duckdb.Error("unable to open database file"), StopRun, "cannot be opened"),
        (duckdb.Error("disk I/O error"), StopRun, "I/O error"),
        (duckdb.Error("Failed to commit: database is locked"), RetryLater, "locked by a program"),
    ],
    ids=str,
)
def test_an_answer_that_is_known_says_the_next_step(
    tmp_path: Path, error: Exception, kind: type[MailPipelineError], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        answer(tmp_path, error)
    assert caught.value.next_step
    assert str(tmp_path) in caught.value.message
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EINVAL, "Invalid argument"), duckdb.Error("Conversion Error"), KeyError("x")],
    ids=str,
)
def test_any_other_comes_as_it_was(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        answer(tmp_path, error)
    assert caught.value is error


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("database or disk is full", StopRun),
        ("attempt to write a readonly database", StopRun),
        ("database is locked", RetryLater),
    ],
)
def test_another_database_of_the_folder_is_classed_the_same(
    tmp_path: Path, text: str, kind: type[MailPipelineError]
) -> None:
    assert isinstance(database_error(sqlite3.OperationalError(text), tmp_path), kind)


@pytest.mark.parametrize("kept", [0, 8_192])
def test_a_damaged_catalog_says_so_to_writers_and_readers(tmp_path: Path, kept: int):
    with Lake(tmp_path):
        pass
    for log in catalog_path(tmp_path).parent.glob("catalog.sqlite-*"):
        log.unlink()
    whole = catalog_path(tmp_path).read_bytes()
    catalog_path(tmp_path).write_bytes(whole[:kept] + b"x" * (len(whole) - kept - 4_096))

    with pytest.raises(StopRun, match="damaged"):
        Lake(tmp_path)
    with pytest.raises(StopRun, match="damaged"):
        connect(tmp_path)
