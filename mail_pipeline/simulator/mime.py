"""RFC 5322 mail, however broken, as the fields of the API's Message object."""

from datetime import UTC
from email.errors import HeaderParseError
from email.header import Header, decode_header, make_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from html import unescape
from re import compile as pattern
from typing import Any

from mail_pipeline.simulator.seeds import stable_int

_HIDDEN = pattern(r"(?is)<(style|script|head)\b.*?</\1>|<!--.*?-->")
_TAG = pattern(r"<[^>]*>")


def decoded(value: str | Header | None) -> str:
    """Return a header's text, its RFC 2047 words decoded; what cannot be decoded stays as it is."""
    if value is None:
        return ""
    try:
        text = str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, ValueError):
        text = str(value)
    return text.encode("utf-8", "replace").decode()


def participants(message: Message, header: str) -> list[dict[str, str]]:
    """Return the header's people as the API lists them: no name where the mail gives none."""
    # Addresses are split before their words are decoded: a decoded name may hold a comma.
    found = getaddresses([str(value) for value in message.get_all(header, [])])
    return [
        {"name": decoded(name), "email": decoded(address)} if name else {"email": decoded(address)}
        for name, address in found
        if name or address
    ]


def received_at(message: Message) -> int:
    """Return when the last server received the message, else its Date; unix seconds, 0 if unreadable."""
    received = [str(value).rpartition(";")[2] for value in message.get_all("Received", [])[:1]]
    for text in (*received, str(message["Date"] or "")):
        try:
            moment = parsedate_to_datetime(text.strip())
            return max(0, int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()))
        except (ValueError, OverflowError):
            continue
    return 0


def body_and_attachments(
    message: Message, grant_id: str, message_id: str
) -> tuple[str | None, str, list[dict[str, Any]]]:
    """Return the body (HTML before plain text, None for neither), a snippet, and the attachments."""
    texts: dict[str, str] = {}
    attachments: list[dict[str, Any]] = []
    for position, part in enumerate(_leaves(message)):
        kind, disposition = part.get_content_type(), part.get_content_disposition()
        name = decoded(part.get_filename())
        if kind in {"text/plain", "text/html"} and disposition != "attachment" and not name:
            texts.setdefault(kind, _text(part))
            continue
        attachment = {
            "id": _part_id(message_id, position),
            "grant_id": grant_id,
            "filename": name,
            "content_type": decoded(part["Content-Type"]) or kind,
            "size": len(_payload(part)),
            "is_inline": disposition == "inline",
            "content_id": decoded(part["Content-ID"]),
            "content_disposition": decoded(part["Content-Disposition"]),
        }
        attachments.append({key: value for key, value in attachment.items() if value != ""})
    body = texts.get("text/html") or texts.get("text/plain")
    if body is None and texts:
        body = ""
    return body, _snippet(texts), attachments


def attached_bytes(message: Message, message_id: str, attachment_id: str) -> bytes:
    """Return the bytes of the part that `body_and_attachments` gave this id; raises KeyError for none."""
    for position, part in enumerate(_leaves(message)):
        if _part_id(message_id, position) == attachment_id:
            return _payload(part)
    raise KeyError(attachment_id)


def plain_text(html: str) -> str:
    """Return what a reader sees of HTML, a paragraph a line, which is Markdown enough."""
    lines = unescape(_TAG.sub("", _HIDDEN.sub("", html).replace("</p>", "\n\n"))).splitlines()
    return "\n\n".join(line.strip() for line in lines if line.strip())


def _snippet(texts: dict[str, str]) -> str:
    """Return the first 100 characters a reader sees."""
    text = texts.get("text/plain", "").strip()
    if not text:
        text = unescape(_TAG.sub(" ", _HIDDEN.sub(" ", texts.get("text/html", ""))))
    return " ".join(text[:1_000].split())[:100]


def _leaves(message: Message) -> list[Message]:
    return [part for part in message.walk() if not part.is_multipart()]


def _part_id(message_id: str, position: int) -> str:
    return f"{stable_int(message_id, position):016x}"


def _payload(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: Message) -> str:
    raw = _payload(part)
    charset = part.get_content_charset() or "utf-8"
    try:
        text = raw.decode(charset, "replace")
    except (LookupError, ValueError):
        text = raw.decode("latin-1")
    return text.encode("utf-8", "replace").decode()
