"""Text as the lake can hold it."""

from typing import Any


def check_text(text: str) -> str:
    """Return a text as it is. Raises UnicodeEncodeError for a lone surrogate in it."""
    # Asking an ASCII text is free; only others are encoded to find out.
    if not text.isascii():
        text.encode()
    return text


def mended(value: Any, *, nul: str = "\0") -> Any:
    """Return decoded JSON with U+FFFD in place of lone surrogates, and with `nul` in place of each NUL."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", nul)
    if isinstance(value, dict):
        return {mended(key, nul=nul): mended(item, nul=nul) for key, item in value.items()}
    if isinstance(value, list):
        return [mended(item, nul=nul) for item in value]
    return value
