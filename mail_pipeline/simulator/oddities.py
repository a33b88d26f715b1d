"""What real mail holds and a careless reader trips over; the API's contract allows every one of these."""

from collections.abc import Callable
from typing import Any

Message = dict[str, Any]


def body_absent(message: Message) -> None:
    """Leave the body out: not the same as an empty one."""
    del message["body"]


def body_empty(message: Message) -> None:
    """Send an empty body and snippet."""
    message["body"] = message["snippet"] = ""


def body_with_nul(message: Message) -> None:
    """Put a NUL character into the body."""
    message["body"] = message["body"][:40] + "\0" + message["body"][40:]


def body_with_unicode(message: Message) -> None:
    """Put astral, combining and right-to-left characters, and a line separator, into body and subject."""
    message["body"] += "<p>𝕸𝖆𝖎𝖑 e\u0301 שלום \u2028 👩‍👩‍👧 \ufeff\u200b</p>"
    message["subject"] = "שלום e\u0301 👩‍👩‍👧 " + message["subject"]


def from_absent(message: Message) -> None:
    """Leave the sender out."""
    del message["from"]


def from_empty(message: Message) -> None:
    """Send an empty list of senders."""
    message["from"] = []


def from_several(message: Message) -> None:
    """Name two senders."""
    message["from"] = [*message["from"], {"name": "Assistant", "email": "assistant@oak.example"}]


def participant_without_address(message: Message) -> None:
    """List somebody with a name and an empty address."""
    message["to"] = [*message["to"], {"name": "undisclosed-recipients:", "email": ""}]


def participant_without_name(message: Message) -> None:
    """Leave the sender's name out, and write the address in mixed case with a tag."""
    message["from"] = [{"email": "Mixed.Case+Tag@Example.COM"}]


def participant_many(message: Message) -> None:
    """Copy sixty people."""
    message["cc"] = [{"name": f"Reader {i}", "email": f"reader{i}@list.example.org"} for i in range(60)]


def lists_null(message: Message) -> None:
    """Send null where there is nothing to list."""
    message["cc"] = message["bcc"] = message["reply_to"] = None


def attachments_null(message: Message) -> None:
    """Send null for no attachments."""
    message["attachments"] = None


def attachment_bare(message: Message) -> None:
    """List an attachment with nothing but id, content type and size."""
    message["attachments"] = [{"id": "v0:bare", "content_type": "application/octet-stream", "size": 0}]


def subject_absent(message: Message) -> None:
    """Leave the subject out."""
    del message["subject"]


def subject_empty(message: Message) -> None:
    """Send an empty subject."""
    message["subject"] = ""


def subject_long(message: Message) -> None:
    """Send a subject of 4,000 characters with a tab and a line break in it."""
    message["subject"] = "Fwd:\t\r\n" + "long " * 800


def snippet_absent(message: Message) -> None:
    """Leave the snippet out."""
    del message["snippet"]


def thread_absent(message: Message) -> None:
    """Leave the thread out."""
    del message["thread_id"]


def field_unknown(message: Message) -> None:
    """Carry a field no document describes."""
    message["importance"] = {"level": "high", "reasons": ["vip", None, 1.5, True]}


def reply_to_several(message: Message) -> None:
    """Ask for answers at two other addresses."""
    message["reply_to"] = [{"name": "Desk", "email": "desk@fern.example"}, {"email": "archive@fern.example"}]


ODDITIES: tuple[Callable[[Message], None], ...] = (
    body_absent,
    body_empty,
    body_with_nul,
    body_with_unicode,
    from_absent,
    from_empty,
    from_several,
    participant_without_address,
    participant_without_name,
    participant_many,
    lists_null,
    attachments_null,
    attachment_bare,
    subject_absent,
    subject_empty,
    subject_long,
    snippet_absent,
    thread_absent,
    field_unknown,
    reply_to_several,
)
