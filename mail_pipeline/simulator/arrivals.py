"""New mail: whatever the one who lets it arrive does not say is made up, from the grant and a number."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from mail_pipeline.simulator import words
from mail_pipeline.simulator.mailboxes import Grant
from mail_pipeline.simulator.mime import plain_text
from mail_pipeline.simulator.seeds import stable_int, stable_random

Person = dict[str, str]
"""A participant as the API lists it: `email`, and perhaps `name`."""

_MEAN_BODY = 1_200


@dataclass(frozen=True)
class Letter:
    """What is said about a new message; None is made up."""

    subject: str | None = None
    body: str | None = None
    size: int | None = None
    """Bytes of a made-up body."""
    sender: Person | None = None
    to: Sequence[Person] | None = None
    cc: Sequence[Person] | None = None
    bcc: Sequence[Person] | None = None
    reply_to: Sequence[Person] | None = None
    attachments: int | None = None
    """How many files are attached."""


def compose(grant: Grant, number: int, letter: Letter, *, answered: dict[str, Any] | None) -> dict[str, Any]:
    """Return a Message object without id, date, folders and flags; `answered` is what it replies to."""
    random = stable_random("arrival", grant.id, number)
    owner = {"name": grant.name or "", "email": grant.email or "owner@example.org"}
    other = words.person("arrival", grant.id, int(40 * random.random() ** 2))
    sender = letter.sender or {"name": other.name, "email": other.email}
    body = _body(letter, sender, number) if letter.body is None else letter.body
    count = letter.attachments if letter.attachments is not None else int(random.random() * 1.4)
    copied = _made_up(random.random() < 0.3, "cc", grant.id, number)
    blind = _made_up(random.random() < 0.2, "bcc", grant.id, number)
    answers_go_to = _made_up(random.random() < 0.3, "reply", grant.id, number)
    return {
        "grant_id": grant.id,
        "object": "message",
        "thread_id": _thread(grant, number, answered),
        "subject": _subject(letter, number, answered),
        "from": [sender],
        "to": [owner] if letter.to is None else list(letter.to),
        "cc": copied if letter.cc is None else list(letter.cc),
        "bcc": blind if letter.bcc is None else list(letter.bcc),
        "reply_to": answers_go_to if letter.reply_to is None else list(letter.reply_to),
        "snippet": preview(body),
        "body": body,
        "attachments": [_attachment(grant.id, number, position) for position in range(count)],
    }


def preview(body: str) -> str:
    """Return the snippet of a body: the first 100 characters a reader sees."""
    return " ".join(plain_text(body[:2_000]).split())[:100]


def made_up_text(*parts: str | int) -> str:
    """Return a few words that follow from the parts: a subject, or a folder's name."""
    draw = stable_int(*parts)
    return f"{words.TOPICS[draw % len(words.TOPICS)].capitalize()} {draw // 97 % 10_000}"


def _made_up(wanted: bool, role: str, grant_id: str, number: int) -> list[Person]:
    person = words.person(role, grant_id, number)
    return [{"name": person.name, "email": person.email}] if wanted else []


def _thread(grant: Grant, number: int, answered: dict[str, Any] | None) -> str:
    if answered is not None and "thread_id" in answered:
        return str(answered["thread_id"])
    digits = 16 if grant.provider == "google" else 32
    return f"{stable_int('arrival', grant.id, 'thread', number):0{digits}x}"


def _subject(letter: Letter, number: int, answered: dict[str, Any] | None) -> str:
    if letter.subject is not None:
        return letter.subject
    if answered is not None:
        return "Re: " + str(answered.get("subject") or "").removeprefix("Re: ")
    return made_up_text("subject", number)


def _body(letter: Letter, sender: Person, number: int) -> str:
    size = _MEAN_BODY if letter.size is None else letter.size
    start, end = "<html><body><p>", f"</p><p>{escape(sender.get('name', ''))}</p></body></html>"
    pool = words.paragraphs()
    parts, missing = [f"New mail {number}"], size - len((start + end).encode()) - len(f"New mail {number}")
    while missing > 0:
        # ASCII, so that the size is exactly what was asked for.
        part = ("</p><p>" + pool[(number + len(parts)) % len(pool)]).encode("ascii", "ignore").decode()
        parts.append(part if len(part) <= missing else "x" * missing)
        missing -= len(parts[-1])
    return start + "".join(parts) + end


def _attachment(grant_id: str, number: int, position: int) -> dict[str, Any]:
    token = stable_int("arrival", grant_id, number, "file", position)
    return {
        "id": f"v0:{token:016x}:{position}",
        "grant_id": grant_id,
        "filename": f"page-{position + 1}.pdf",
        "content_type": f'application/pdf; name="page-{position + 1}.pdf"',
        "size": 2_000 + token % 500_000,
        "is_inline": False,
    }
