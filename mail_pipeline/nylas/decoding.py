"""Decoding the JSON that orjson refuses: one odd record must not cost its page.

Slower, and as strict about what is damaged: a body that was cut off stays an error.
"""

import json
import re
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_CLOSING = {"[": "]", "{": "}"}


def decode_oddities(body: bytes) -> Any:
    """Decode JSON as some mail programs make it. Raises ValueError for what is none.

    It may nest to any depth. A lone surrogate (`"\\ud800"`) stays one in the string, and a byte that is not
    UTF-8 becomes one (U+DC80 to U+DCFF, as Python's `surrogateescape` has it); control characters may stand
    as they are. An integer of more than 4,300 digits comes as an infinite float.
    """
    text = _text(body)
    try:
        return _DECODER.decode(text)
    except RecursionError:
        return _nested(text)


def _text(body: bytes) -> str:
    encoding = json.detect_encoding(body)
    try:
        return body.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        return body.decode(encoding, "surrogateescape")


def _whole(digits: str) -> float:
    try:
        return int(digits)
    except ValueError:
        # Python reads no longer ones, for the time that takes.
        return float(digits)


_DECODER = json.JSONDecoder(parse_int=_whole, strict=False)


def _nested(text: str) -> Any:
    """Decode JSON that nests deeper than Python recurses."""
    open_: list[list[Any] | dict[str, Any]] = []
    names: list[str] = []
    at = _after_space(text, 0)
    while True:
        value: Any
        sign = text[at : at + 1]
        if sign in _CLOSING:
            value = [] if sign == "[" else {}
            at = _after_space(text, at + 1)
            if text[at : at + 1] != _CLOSING[sign]:
                name, at = ("", at) if sign == "[" else _name(text, at)
                open_.append(value)
                names.append(name)
                continue
            at += 1
        else:
            value, at = _DECODER.raw_decode(text, at)
        at = _after_space(text, at)
        while open_:
            holder = open_[-1]
            if isinstance(holder, list):
                holder.append(value)
            else:
                holder[names[-1]] = value
            sign, at = text[at : at + 1], _after_space(text, at + 1)
            if sign == ",":
                if isinstance(holder, dict):
                    names[-1], at = _name(text, at)
                break
            if sign != ("]" if isinstance(holder, list) else "}"):
                raise ValueError("expected a comma or an end")
            value = open_.pop()
            names.pop()
        else:
            if at < len(text):
                raise ValueError("expected an end")
            return value


def _name(text: str, at: int) -> tuple[str, int]:
    """Return the name of a field and where its value begins."""
    if text[at : at + 1] != '"':
        raise ValueError("expected a name")
    name, at = _DECODER.raw_decode(text, at)
    at = _after_space(text, at)
    if text[at : at + 1] != ":":
        raise ValueError("expected a colon")
    return name, _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()
