"""Where the bytes of attachments lie: a folder or an S3 bucket, each file under the SHA-256 of what is in it.

No name from outside is ever part of a path, and the same bytes are there once.
"""

import os
import re
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedRandom
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from mail_pipeline.errors import RetryLater, StopRun
from mail_pipeline.lake.transaction import sync

_INCOMING = "incoming"
_OWNER = "owner"
_DAY = 86_400.0
_HASH = re.compile(r"[0-9a-f]{64}")


class FileStore:
    """The files of one data folder's attachments. Thread-safe."""

    def __init__(self, data: Path, filesystem: fs.FileSystem, root: str, incoming: Path) -> None:
        """Take a filesystem, the folder in it, and a local folder for what has not come whole yet."""
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self._incoming = incoming
        self._local = isinstance(filesystem, fs.LocalFileSystem)
        self.place = incoming.parent
        """The folder on this machine that it needs."""
        self._elsewhere = self.place != data / "attachments" or not self._local

    @classmethod
    def open(cls, data: Path, location: str | None = None) -> "FileStore":
        """Return the store at a folder or `s3://bucket/prefix`, by default in the data folder.

        Credentials of S3 come from where AWS' own tools find them. Raises StopRun for a bucket that the
        address does not name rightly.
        """
        if location is None or "://" not in location:
            root = Path(location) if location else data / "attachments"
            return cls(data, fs.LocalFileSystem(), str(root.absolute()), root / _INCOMING)
        try:
            filesystem, root_in_bucket = fs.FileSystem.from_uri(location)
        except (pa.ArrowInvalid, OSError) as error:
            raise StopRun(
                "MAIL_PIPELINE_ATTACHMENTS cannot be opened: expected s3://bucket/prefix",
                next_step="Mend it; a region or another endpoint goes behind it: ?region=eu-west-1 or "
                "?scheme=http&endpoint_override=host:port.",
            ) from error
        return cls(data, filesystem, root_in_bucket, data / "attachments" / _INCOMING)

    def claim(self, owner: str) -> None:
        """Make a place outside the data folder this lake's own; call it under the write lock.

        Raises StopRun where it is another lake's, which would take these files for leftovers.
        """
        if not self._elsewhere:
            return
        path = f"{self._root}/{_OWNER}"
        with _bucket_errors(self._local):
            if self._filesystem.get_file_info(path).type == fs.FileType.NotFound:
                if self._local:
                    self.place.mkdir(parents=True, exist_ok=True)
                with self._filesystem.open_output_stream(path) as file:
                    file.write(owner.encode())
            with self._filesystem.open_input_stream(path) as file:
                found = file.read().decode(errors="replace")
        if found != owner:
            raise StopRun(
                "The place that MAIL_PIPELINE_ATTACHMENTS names holds the attachments of another data folder",
                next_step="Give each its own folder or prefix. Where that data folder is no more, remove the "
                f"file `{_OWNER}` there, and this one takes the place over.",
            )

    @contextmanager
    def spool(self) -> Iterator[BufferedRandom]:
        """Give a local file to write to, for `put`; it is gone after the block."""
        self._incoming.mkdir(parents=True, exist_ok=True)
        path = self._incoming / f"{uuid.uuid4().hex}.part"
        with path.open("xb+") as file:
            try:
                yield file
            finally:
                path.unlink(missing_ok=True)

    def put(self, spooled: BufferedRandom, sha256: str, size: int) -> None:
        """Store what was spooled under its hash, unless it is there; durable when this returns.

        Raises RetryLater where the bucket does not take it.
        """
        target = f"{self._root}/{path_of(sha256)}"
        there = self.present({sha256: size})
        spooled.flush()
        if self._local:
            folder = Path(target).parent
            if not there:
                os.fsync(spooled.fileno())
                folder.mkdir(exist_ok=True)
                Path(spooled.name).replace(target)
            # Also of one that is there: who gave it its name may have been killed before this.
            for each in (folder, folder.parent, folder.parent.parent):
                sync(each)
        elif not there:
            with _bucket_errors():
                fs.copy_files(spooled.name, target, fs.LocalFileSystem(), self._filesystem)

    def present(self, sizes: Mapping[str, int]) -> set[str]:
        """Return which of these hashes have a file, of the size given."""
        hashes = list(sizes)
        with _bucket_errors(self._local):
            found = self._filesystem.get_file_info([f"{self._root}/{path_of(each)}" for each in hashes])
        return {
            sha256
            for sha256, info in zip(hashes, found, strict=True)
            if info.type == fs.FileType.File and info.size == sizes[sha256]
        }

    def remove(self, hashes: Collection[str]) -> None:
        """Remove files; those that are not there are no matter."""
        for sha256 in hashes:
            with _bucket_errors(self._local), suppress(FileNotFoundError):
                self._filesystem.delete_file(f"{self._root}/{path_of(sha256)}")

    def listed(self, *, older_than: float = _DAY) -> Iterator[set[str]]:
        """Yield the hashes of files that have been there for so many seconds, some at a time."""
        before = time.time() - older_than
        for folder in self._below(self._root):
            if folder.type == fs.FileType.Directory and re.fullmatch("[0-9a-f]{2}", folder.base_name):
                yield {
                    each.base_name
                    for each in self._below(folder.path)
                    if _HASH.fullmatch(each.base_name) and each.mtime and each.mtime.timestamp() <= before
                }

    def remove_leftovers(self, *, older_than: float = _DAY) -> int:
        """Remove what killed processes left half fetched so many seconds ago; return how many files."""
        before = time.time() - older_than
        removed = 0
        for path in self._incoming.glob("*.part"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime <= before:
                    path.unlink()
                    removed += 1
        return removed

    def _below(self, folder: str) -> list[fs.FileInfo]:
        with _bucket_errors(self._local):
            return self._filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True))


def path_of(sha256: str) -> str:
    """Return where the bytes with this hash lie, below the store's root."""
    return f"{sha256[:2]}/{sha256}"


@contextmanager
def _bucket_errors(local: bool = False) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if local:
            raise
        raise RetryLater(
            f"The bucket of MAIL_PIPELINE_ATTACHMENTS refuses or does not answer ({type(error).__name__})",
            next_step="See that it exists, and that this machine may read, write and delete there.",
        ) from error
