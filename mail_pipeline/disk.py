"""What a disk may answer, classed by what the caller should do."""

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from mail_pipeline.errors import RetryLater, StopRun

_FULL_BELOW = 2**20
"""Bytes free; SQLite calls a full disk an I/O error where it cannot even make its log."""
_FULL = ("no space left", "disk is full", "disk full")
_READ_ONLY = ("readonly database", "read-only", "permission denied")
UNOPENED = "unable to open database file"
DAMAGED = ("file is not a database", "disk image is malformed")
"""What SQLite says, in small letters."""


@contextmanager
def disk_errors(data: Path) -> Iterator[None]:
    """Turn what a full, read-only or busy disk answers into errors that say the next step."""
    try:
        yield
    except OSError as error:
        raise _disk_error(error, data) or error from error
    except (duckdb.Error, sqlite3.Error) as error:
        raise database_error(error, data) or error from error


def disk_state(error: Exception, data: Path) -> StopRun | None:
    """Return what an error says of the disk under the data folder: full, broken, read-only; None for others.

    It is the same whoever was writing there, a database or a file.
    """
    number, text = (error.errno, "") if isinstance(error, OSError) else (None, str(error).lower())
    if number in (errno.ENOSPC, errno.EDQUOT) or any(word in text for word in _FULL):
        return _full(data)
    if "disk i/o error" in text:
        return _full(data) if shutil.disk_usage(data).free < _FULL_BELOW else _broken(data)
    if number in (errno.EROFS, errno.EACCES, errno.EPERM) or any(word in text for word in _READ_ONLY):
        return _read_only(data)
    return None


def _disk_error(error: OSError, data: Path) -> StopRun | None:
    if state := disk_state(error, data):
        return state
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return StopRun(
            f"The data folder {data} cannot be made: a file stands in its way",
            next_step="Move that file, or set MAIL_PIPELINE_DATA to another folder.",
        )
    if error.errno == errno.ENOENT:
        return StopRun(
            f"The data folder {data} cannot be made, or has been removed",
            next_step="Set MAIL_PIPELINE_DATA to a folder on a disk that can be written.",
        )
    return None


def database_error(error: Exception, data: Path) -> StopRun | RetryLater | None:
    """Return what a database's error means for the data folder; None where it is not the disk's doing."""
    if state := disk_state(error, data):
        return state
    text = str(error).lower()
    if UNOPENED in text:
        return StopRun(
            f"The catalog in {data} cannot be opened",
            next_step="SQLite keeps its log beside it, so even a reader needs the right to write there. "
            "Give it to this user; from a read-only disk, copy the folder and read the copy.",
        )
    if any(word in text for word in DAMAGED):
        return StopRun(
            f"A database file in {data} is damaged; the Parquet files beside it are not touched by that",
            next_step="Put back the newest copy of the whole folder. Without one, move the folder away: the "
            "next backfill makes all of it anew.",
        )
    if "database is locked" in text:
        return RetryLater(
            f"The catalog of {data} is locked by a program that does not take the write lock",
            next_step="Close other tools that have the catalog open for writing; the work goes on by itself.",
        )
    return None


def _full(data: Path) -> StopRun:
    return StopRun(
        f"The disk that holds {data} is full; everything committed is safe",
        next_step="Free some space, then run the same command again: it goes on where it stopped.",
    )


def _broken(data: Path) -> StopRun:
    return StopRun(
        f"The disk that holds {data} answers with an I/O error; everything committed is safe",
        next_step="Look into the system's log for what is wrong with it, then run the same command again.",
    )


def _read_only(data: Path) -> StopRun:
    return StopRun(
        f"The data folder {data} cannot be written",
        next_step="Give this user the right to write there, or set MAIL_PIPELINE_DATA to another folder.",
    )
