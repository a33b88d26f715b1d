"""DuckDB's extensions, which come as wheels: their files, and whether these are what the wheels brought."""

import base64
import hashlib
import importlib.util
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import duckdb

from mail_pipeline.errors import StopRun

EXTENSIONS = ("ducklake", "sqlite_scanner")

_Mark = tuple[str, int, int, int]
_checked: dict[_Mark, bool] = {}
"""Of each file that this process has looked at, as it was then: is it its wheel's own?"""


def extension_file(name: str) -> Path:
    """Return where an extension lies. Raises StopRun where its wheel is not installed."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        raise StopRun(
            f"The wheel of DuckDB's extension {name} is not installed",
            next_step=f"Install {_wheel(name)}=={duckdb.__version__}.",
        )
    return Path(spec.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"


def is_as_installed(name: str, file: Path) -> bool:
    """Tell whether a file is, byte for byte, what the extension's wheel brought.

    So it is as good as DuckDB itself, which came the same way, and DuckDB need not check its signature: that
    takes six times the CPU, most of what opening a lake takes. Read once in a process, and again when the
    file has changed.
    """
    mark = _mark(file)
    if mark not in _checked:
        expected = _digest_in_wheel(name, file)
        _checked[mark] = expected is not None and _digest(file) == expected
    return _checked[mark]


def _digest_in_wheel(name: str, file: Path) -> str | None:
    try:
        installed = distribution(_wheel(name)).files or ()
    except PackageNotFoundError:
        return None
    hashes = (each.hash for each in installed if Path(str(each.locate())).resolve() == file.resolve())
    return next((each.value for each in hashes if each is not None and each.mode == "sha256"), None)


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").digest()
    # As the list of a wheel's files has it.
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _mark(file: Path) -> _Mark:
    status = file.stat()
    return str(file), status.st_ino, status.st_size, status.st_mtime_ns


def _wheel(name: str) -> str:
    return f"duckdb-extension-{name.replace('_', '-')}"
