"""Bodies as sent, maybe compressed, and how far they may be inflated."""

import gzip
import io
import zlib
from collections.abc import Iterator, Mapping

from mail_pipeline.errors import MailPipelineError

MOST_SENT = 10 * 10**6
"""Bytes of a body as sent. Nylas cuts what exceeds 1 MB."""
MOST_INFLATED = 64 * 2**20
"""Bytes of a body inflated."""
_PIECE = 2**16


class TooLarge(MailPipelineError):
    """A body that is larger than allowed, once inflated."""

    def __init__(self, limit: int) -> None:
        """Take the bytes that are allowed."""
        super().__init__(f"The body inflates to more than {limit:,} bytes")


class Undecodable(MailPipelineError):
    """A body that is not what its Content-Encoding says, or whose encoding is not known here."""


def inflate(body: bytes, headers: Mapping[str, str], *, limit: int = MOST_INFLATED) -> bytes:
    """Return the body as its sender wrote it, at most `limit` bytes; `headers` have lower-case names.

    Raises TooLarge, having inflated no more than that, and Undecodable.
    """
    return b"".join(_pieces(body, headers, limit))


def check_size(body: bytes, headers: Mapping[str, str], *, limit: int = MOST_INFLATED) -> None:
    """Raise what `inflate` would, in little memory."""
    for _ in _pieces(body, headers, limit):
        pass


def is_compressed(headers: Mapping[str, str]) -> bool:
    """Return whether the body has to be inflated, or cannot be read at all."""
    return headers.get("content-encoding", "").strip().lower() not in {"", "identity"}


def _pieces(body: bytes, headers: Mapping[str, str], limit: int) -> Iterator[bytes]:
    size = 0
    for piece in _inflated(body, headers) if is_compressed(headers) else [body]:
        size += len(piece)
        if size > limit:
            raise TooLarge(limit)
        yield piece


def _inflated(body: bytes, headers: Mapping[str, str]) -> Iterator[bytes]:
    if headers["content-encoding"].strip().lower() not in {"gzip", "x-gzip"}:
        raise Undecodable("The body's Content-Encoding is neither gzip nor identity")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            while piece := file.read(_PIECE):
                yield piece
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise Undecodable("The body is no whole gzip data, whatever its Content-Encoding says") from None
