"""A sketch becomes the API's Message object: people, subject, body, attachments, provider's quirks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import exp, log
from random import Random
from statistics import NormalDist
from typing import Any

from mail_pipeline.simulator import words
from mail_pipeline.simulator.conversations import CONVERSATION, NEWSLETTER, Shape, Sketch
from mail_pipeline.simulator.identifiers import IMAP_FAMILY, MessageIds, message_ids
from mail_pipeline.simulator.oddities import ODDITIES, thread_absent
from mail_pipeline.simulator.seeds import stable_int, stable_random
from mail_pipeline.simulator.words import Person

_SPREAD = 0.8
_GAUSS = NormalDist()
# filename, content type, mean size in bytes, share
_FILES = (
    ("report.pdf", "application/pdf", 240_000, 0.36),
    ("notes.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", 60_000, 0.18),
    ("figures.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", 90_000, 0.16),
    ("photo.jpg", "image/jpeg", 1_400_000, 0.12),
    ("invite.ics", "text/calendar; charset=UTF-8; method=REQUEST", 3_000, 0.1),
    ("archive.zip", "application/zip", 2_500_000, 0.05),
    ("Größen – Übersicht.pdf", "application/pdf", 180_000, 0.03),
)


@dataclass(frozen=True, eq=False)
class Writer:
    """Writes the messages of one mailbox; message n depends on the shape, on n and on nothing else."""

    shape: Shape
    provider: str
    grant_id: str
    owner: Person
    body_mean: int
    oddity_every: int
    """One message in this many has an odd feature; 0 for none."""

    @cached_property
    def ids(self) -> MessageIds:
        """Return the mailbox's ids."""
        return message_ids(self.provider, self.shape.seed, self.shape.mailbox)

    def write(self, number: int) -> dict[str, Any]:
        """Return the complete message, with the union of its folders."""
        shape = self.shape
        sketch = shape.sketch(number)
        random = stable_random(shape.seed, shape.mailbox, "message", number)
        other = self._other(sketch)
        sender, recipient = (self.owner, other) if sketch.sent else (other, self.owner)
        text = self._text(sketch, sender, recipient, random)
        message: dict[str, Any] = {
            "id": self.ids.encode(number),
            "grant_id": self.grant_id,
            "object": "message",
            "thread_id": self.thread_id(sketch.thread),
            "subject": self._subject(sketch, number),
            "from": [_participant(sender)],
            "to": [_participant(recipient)],
            "cc": [],
            "bcc": [],
            "reply_to": [],
            "date": sketch.date,
            "folders": list(sketch.folders),
            "unread": sketch.unread,
            "starred": sketch.starred,
            "snippet": _snippet(text),
            "body": text,
            "attachments": [],
        }
        if sketch.kind == CONVERSATION:
            self._copy_others(message, sketch, random)
            if random.random() < 0.17:
                self._attach(message, number, random)
        elif sketch.kind == NEWSLETTER:
            message["reply_to"] = [{"email": "list@" + other.email.partition("@")[2]}]
        self._provider_fields(message, sketch, random)
        oddity = self._oddity(number)
        if oddity is not None:
            oddity(message)
        return message

    def thread_of(self, number: int) -> str | None:
        """Return the thread a message says it is in, without writing the message."""
        if self._oddity(number) is thread_absent:
            return None
        return self.thread_id(self.shape.sketch(number).thread)

    def thread_id(self, first: int) -> str:
        """Return the id of the thread that begins with message number `first`."""
        if self.provider == "google":
            return self.ids.encode(first)
        return f"{stable_int(self.shape.seed, self.shape.mailbox, 'thread', first):032x}"

    def message_id_header(self, number: int) -> str:
        """Return the RFC 5322 Message-ID of a message."""
        if self.provider in IMAP_FAMILY:
            return self.ids.encode(number)
        return f"<{stable_int(self.shape.seed, self.shape.mailbox, 'header', number):x}@mail.example.org>"

    def headers(self, number: int) -> list[dict[str, str]]:
        """Return the headers of a message: two Received, Message-ID, In-Reply-To, References."""
        sketch = self.shape.sketch(number)
        headers = [
            {"name": "Received", "value": "from mx.example.net by mail.example.org; second hop"},
            {"name": "Received", "value": "from client.example.net by mx.example.net; first hop"},
            {"name": "Message-ID", "value": self.message_id_header(number)},
        ]
        if sketch.parent >= 0:
            parent, root = self.message_id_header(sketch.parent), self.message_id_header(sketch.thread)
            references = root if parent == root else f"{root} {parent}"
            headers += [{"name": "In-Reply-To", "value": parent}, {"name": "References", "value": references}]
        return headers

    def _oddity(self, number: int) -> Callable[[dict[str, Any]], None] | None:
        if not self.oddity_every or (number + self.shape.mailbox) % self.oddity_every:
            return None
        return ODDITIES[number // self.oddity_every % len(ODDITIES)]

    def _other(self, sketch: Sketch) -> Person:
        shape = self.shape
        someone = words.person(shape.seed, shape.mailbox, sketch.kind, sketch.other)
        if sketch.kind == CONVERSATION:
            if sketch.other % 4 == 0:
                # A colleague: the owner's own domain.
                local = someone.email.partition("@")[0]
                return Person(someone.name, f"{local}@{self.owner.email.partition('@')[2]}")
            return someone
        names = words.LISTS if sketch.kind == NEWSLETTER else words.NOTICES
        name = names[sketch.other % len(names)]
        local = "news" if sketch.kind == NEWSLETTER else "no-reply"
        return Person(name, f"{local}@{name.lower().replace(' ', '-')}.example.net")

    def _subject(self, sketch: Sketch, number: int) -> str:
        draw = stable_int(self.shape.seed, self.shape.mailbox, "subject", sketch.thread)
        if sketch.kind == NEWSLETTER:
            return f"{words.LISTS[sketch.other % len(words.LISTS)]} #{number}"
        if sketch.kind != CONVERSATION:
            return f"{words.NOTICES[sketch.other % len(words.NOTICES)]} {draw % 90000 + 10000}"
        topic = words.TOPICS[draw % len(words.TOPICS)]
        subject = f"{topic[0].upper()}{topic[1:]} {draw // 97 % 400}"
        return f"Re: {subject}" if sketch.parent >= 0 else subject

    def _text(self, sketch: Sketch, sender: Person, recipient: Person, random: Random) -> str:
        """Return a body whose length in bytes is log-normal about `body_mean`; one in nine is plain text."""
        pool = words.paragraphs()
        draw = random.random
        middle = log(max(self.body_mean, 1)) - _SPREAD**2 / 2
        size = exp(middle + _SPREAD * _GAUSS.inv_cdf(0.0005 + 0.999 * draw()))
        plain = draw() < 0.11
        greeting = words.GREETINGS[int(draw() * len(words.GREETINGS))]
        closing = words.CLOSINGS[int(draw() * len(words.CLOSINGS))]
        first_name = recipient.name.partition(" ")[0]
        parts = [f"{greeting} {first_name},"]
        missing = int(size) - (60 if plain else 150)
        while missing > 0:
            paragraph = pool[int(draw() * len(pool))][:missing]
            parts.append(paragraph)
            missing -= len(paragraph) + 7
        if sketch.parent >= 0 and not plain:
            parts.append("<blockquote>" + pool[sketch.thread % len(pool)][:200] + "</blockquote>")
        parts.append(f"{closing},\n{sender.name}" if plain else f"{closing},<br>{sender.name}")
        if plain:
            return "\n\n".join(parts)
        return f"<html><body><p>{'</p><p>'.join(parts)}</p></body></html>"

    def _copy_others(self, message: dict[str, Any], sketch: Sketch, random: Random) -> None:
        shape = self.shape
        while random.random() < 0.22 and len(message["cc"]) < 6:
            copied = words.person(shape.seed, shape.mailbox, CONVERSATION, int(random.random() * 30))
            message["cc"].append(_participant(copied))
        if random.random() < 0.06:
            message["to"].append(_participant(words.person(shape.seed, shape.mailbox, "to", sketch.other)))
        if sketch.sent and random.random() < 0.03:
            message["bcc"].append(_participant(words.person(shape.seed, shape.mailbox, "bcc", 0)))

    def _attach(self, message: dict[str, Any], number: int, random: Random) -> None:
        for position in range(1 + int(random.random() ** 3 * 4)):
            draw = random.random()
            name, kind, mean, _ = next((f for f in _FILES if (draw := draw - f[3]) < 0), _FILES[0])
            inline = name == "photo.jpg" and random.random() < 0.5
            token = stable_int(self.shape.seed, self.shape.mailbox, "file", number, position)
            attachment: dict[str, Any] = {
                "id": f"v0:{token:016x}:{position}",
                "grant_id": self.grant_id,
                "filename": name,
                "content_type": f'{kind}; name="{name}"',
                "size": max(200, int(mean * exp(_SPREAD * _GAUSS.inv_cdf(0.001 + 0.998 * random.random())))),
                "is_inline": inline,
            }
            if inline:
                attachment["content_id"] = f"<{token:x}@mail.example.org>"
            if self.provider not in {"microsoft", "ews"}:
                attachment["content_disposition"] = "inline" if inline else f'attachment; filename="{name}"'
            if self.provider == "google" and not name.isascii():
                attachment["content_type"] = ""
            message["attachments"].append(attachment)

    def _provider_fields(self, message: dict[str, Any], sketch: Sketch, random: Random) -> None:
        if self.provider == "ews" and sketch.parent >= 0:
            message["in_reply_to"] = self.message_id_header(sketch.parent)
        if self.provider == "microsoft":
            message["created_at"] = sketch.date + 1
        if sketch.sent and random.random() < 0.02:
            message["metadata"] = {"key1": f"campaign-{sketch.other}"}
            message["schedule_id"] = f"{stable_int(self.shape.seed, 'schedule', sketch.thread):016x}"
            message["send_at"] = sketch.date


def _participant(person: Person) -> dict[str, str]:
    return {"name": person.name, "email": person.email}


def _snippet(text: str) -> str:
    """Return the first 100 characters of the text between the tags."""
    start = text[:400].replace("</p><p>", " ").replace("<html><body><p>", "")
    return start.partition("<")[0][:100].replace("\n", " ")
