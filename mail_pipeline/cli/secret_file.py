"""The file in which a user keeps a webhook's secrets: a `.env`, or one that holds nothing else."""

import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dotenv import dotenv_values, set_key

from mail_pipeline.errors import StopRun

VARIABLE = "NYLAS_WEBHOOK_SECRET"

_SECRETS = re.compile(r"[!-+\--~]+(,[!-+\--~]+)*")
_EXPORTED = re.compile(rf"^\s*export\s+{VARIABLE}\b", re.MULTILINE)


def check_secret_file(path: Path) -> None:
    """Raise StopRun where `add_secret` could not work: a secret is shown once, and is not to be lost."""
    with _errors(path):
        _known(path)
        with tempfile.TemporaryFile(dir=path.resolve().parent):
            return


def add_secret(path: Path, secret: str) -> int:
    """Put a secret before those that the file holds, with commas, and return how many those are.

    In a `.env` that is the line of NYLAS_WEBHOOK_SECRET, and no other changes; another file holds the secrets
    alone. Only its owner may read the file afterwards. It is replaced as a whole or not at all.
    Raises StopRun.
    """
    with _errors(path):
        older = [each for each in _known(path) if each != secret]
        text = ",".join([secret, *older])
        # A link stays a link.
        file = path.resolve()
        if _is_env(path):
            _set_line(file, text)
        else:
            _replace(file, f"{text}\n")
    return len(older)


def _known(path: Path) -> list[str]:
    if not path.exists():
        return []
    if _is_env(path):
        text = dotenv_values(path, interpolate=False).get(VARIABLE) or ""
    else:
        text = path.read_text().strip()
        if text and not _SECRETS.fullmatch(text):
            raise StopRun(
                f"{path} holds something else than webhook secrets",
                next_step="Name a `.env`, or a file of its own for the secret.",
            )
    return [each for each in map(str.strip, text.split(",")) if each]


def _set_line(file: Path, text: str) -> None:
    exported = False
    if file.exists():
        # Its copy gets the same mode before the secret is in it.
        file.chmod(0o600)
        exported = bool(_EXPORTED.search(file.read_text()))
    # Tools that know no quotes read `.env` files too.
    quotes = "never" if shlex.quote(text) == text else "always"
    set_key(file, VARIABLE, text, quote_mode=quotes, export=exported)


def _replace(file: Path, text: str) -> None:
    number, name = tempfile.mkstemp(prefix=".tmp_", dir=file.parent)
    try:
        with os.fdopen(number, "w") as copy:
            copy.write(text)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _is_env(path: Path) -> bool:
    return path.name == ".env"


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    reason = ""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        reason = "it is no UTF-8 text"
    if reason:
        raise StopRun(
            f"{path} cannot keep the secret ({reason})",
            next_step="Name a file that this user may write, in a folder that exists.",
        )
