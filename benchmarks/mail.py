"""Generated mail: bodies come from a pool, so half a million messages need no more memory than two thousand.

A message is put together from ready-made JSON; what is its own are its id, date, thread and the last bytes of
its body. So it costs the server a few microseconds, and no two messages or bodies are equal.
"""

import base64
import functools
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

POOL = 2_000
"""Letters in the pool, 20 MB: far more than a compressor looks back, so reuse does not show in file sizes."""

_MEDIAN_BODY = 7_000
_SPREAD = 0.7
_SMALLEST, _LARGEST = 2_000, 60_000

_NOT_ASCII = 0.25
"""Share of bodies with typographic quotes."""

_NEWEST = 1_760_000_000
_SECONDS_BETWEEN = 240
_MESSAGES_IN_THREAD = 3
_GOLDEN = 0x9E3779B97F4A7C15  # odd, so that multiplying by it gives each number another 64-bit one
_SEAL = "@@seal@@"
_CONSONANTS = (*"bcdfghklmnprstv", "br", "gr", "pr", "st", "tr")

_CELL = (
    '<tr><td align="left" valign="top" style="padding:12px 24px;font-family:Helvetica,Arial,sans-serif;'
    'font-size:14px;line-height:21px;color:#333333;">'
)
_HEAD = (
    '<!DOCTYPE html><html><head><meta http-equiv="Content-Type" content="text/html; charset=utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1.0"><style type="text/css">'
    "body{{margin:0;padding:0;background-color:{colour}}}table{{border-collapse:collapse}}"
    "a{{color:{colour};text-decoration:none}}@media only screen and (max-width:620px)"
    "{{.wrapper{{width:100%!important}}.column{{display:block!important}}}}</style></head><body>"
    '<table role="presentation" class="wrapper" width="600" cellpadding="0" cellspacing="0" border="0">'
)
_FILES = (
    ("application/pdf", "pdf"),
    ("image/png", "png"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
)
_FOLDERS = (
    *(("Inbox", "\\Inbox"), ("Sent Items", "\\Sent"), ("Drafts", "\\Drafts")),
    *(("Deleted Items", "\\Trash"), ("Junk Email", "\\Junk"), ("Archive", "\\Archive")),
    *((name, "") for name in ("Projects", "Invoices", "Travel", "Newsletters", "Support", "Family")),
)
_FOLDER_WEIGHTS = (40, 15, 1, 2, 2, 15, 8, 4, 2, 7, 3, 1)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message of the pool as JSON: what stands between its own head, its own last bytes and the end."""

    middle: bytes
    end: bytes


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One grant's messages, newest first, numbered from 0."""

    number: int
    messages: int
    letters: Sequence[Letter]

    @property
    def grant_id(self) -> str:
        """Return the grant's id, in the form of a UUID."""
        return f"00000000-0000-4000-8000-{self.number:012x}"

    def page(self, first: int, count: int) -> bytes:
        """Return messages `first` to `first + count`, at most to the last one, as a JSON array."""
        last = min(first + count, self.messages)
        pieces = [piece for number in range(first, last) for piece in self._message(number)]
        return b"".join((b"[", *pieces[1:], b"]"))

    def _message(self, number: int) -> tuple[bytes, ...]:
        letter = self.letters[number % len(self.letters)]
        identity = self._id(number)
        head = b'{"id":"%b","grant_id":"%b","object":"message","date":%d,"thread_id":"%b",' % (
            identity,
            self.grant_id.encode(),
            _NEWEST - _SECONDS_BETWEEN * number,
            self._id(number - number % _MESSAGES_IN_THREAD),
        )
        return b",", head, letter.middle, identity, letter.end

    def _id(self, number: int) -> bytes:
        """Return an id like Microsoft Graph's immutable ones: most of it is the mailbox's."""
        scrambled = (number * _GOLDEN % 2**64).to_bytes(8, "big")
        return b"AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A%08xAAA%b" % (
            self.number,
            base64.urlsafe_b64encode(scrambled),
        )


def folders(mailbox: Mailbox) -> list[dict[str, object]]:
    """Return the folder records of a mailbox."""
    return [
        {
            "id": _folder_id(name),
            "grant_id": mailbox.grant_id,
            "object": "folder",
            "name": name,
            "attributes": [attribute] if attribute else [],
            "total_count": mailbox.messages * weight // 100,
            "unread_count": 0,
        }
        for (name, attribute), weight in zip(_FOLDERS, _FOLDER_WEIGHTS, strict=True)
    ]


def letters(count: int = POOL, *, seed: int = 1) -> list[Letter]:
    """Make a pool of letters: HTML bodies of 2 to 60 KB, log-normal, about 10 KB as JSON with all fields."""
    return [_letter(random.Random(f"{seed}/{number}")) for number in range(count)]


def _letter(chance: random.Random) -> Letter:
    subject = " ".join(_words(chance, chance.randint(3, 9))).capitalize()
    body, text = _body(chance, subject)
    if chance.random() < _NOT_ASCII:
        # Python holds such a text in wider characters, so it is dearer to decode and to store.
        body = body.replace("ri ", "ri’s ")
    fields = {
        "subject": subject,
        "from": _people(chance, 1),
        "to": _people(chance, 1 + min(int(chance.expovariate(1.2)), 12)),
        "cc": _people(chance, max(0, int(chance.expovariate(0.9)) - 1)),
        "bcc": [],
        "reply_to": _people(chance, int(chance.random() < 0.2)),
        "folders": [_folder_id(chance.choices(_FOLDERS, _FOLDER_WEIGHTS)[0][0])],
        "unread": chance.random() < 0.2,
        "starred": chance.random() < 0.05,
        "snippet": text[:100],
        "attachments": [
            _attachment(chance) for _ in range(chance.randint(1, 3) if chance.random() < 0.2 else 0)
        ],
        "body": body,
    }
    middle, end = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).split(_SEAL)
    return Letter(middle[1:].encode(), end.encode())


def _body(chance: random.Random, subject: str) -> tuple[str, str]:
    """Return a body with the mark where its own bytes go, and its text."""
    size = min(max(chance.lognormvariate(0, _SPREAD) * _MEDIAN_BODY, _SMALLEST), _LARGEST)
    pieces = [_HEAD.format(colour=f"#{chance.randrange(2**24):06x}"), _CELL, f"<h1>{subject}</h1></td></tr>"]
    text: list[str] = []
    length = sum(map(len, pieces))
    while length < size:
        paragraph = " ".join(_words(chance, chance.randint(25, 70))).capitalize() + "."
        token = base64.urlsafe_b64encode(chance.randbytes(36)).decode()
        link = f'<a href="https://click.letters.example/track/{token}" target="_blank">{paragraph[:20]}</a>'
        piece = f"{_CELL}<p>{paragraph}</p>{link}</td></tr>"
        text.append(paragraph)
        pieces.append(piece)
        length += len(piece)
    pieces.append(
        f'</table><img src="https://open.letters.example/{_SEAL}" width="1" height="1"></body></html>'
    )
    return "\r\n".join(pieces), " ".join(text)


def _people(chance: random.Random, count: int) -> list[dict[str, str]]:
    return [chance.choice(_acquaintances()) for _ in range(count)]


@functools.cache
def _acquaintances() -> list[dict[str, str]]:
    chance = random.Random("people")
    names = [[word.capitalize() for word in chance.sample(_vocabulary()[100:], 2)] for _ in range(600)]
    return [
        {"name": " ".join(name), "email": f"{'.'.join(name).lower()}@{chance.choice(name).lower()}.example"}
        for name in names
    ]


def _attachment(chance: random.Random) -> dict[str, object]:
    content_type, ending = chance.choice(_FILES)
    return {
        "id": base64.urlsafe_b64encode(chance.randbytes(30)).decode(),
        "filename": f"{'-'.join(_words(chance, 2))}.{ending}",
        "content_type": content_type,
        "size": int(chance.lognormvariate(11, 1.2)),
        "is_inline": ending == "png",
        "content_id": "",
    }


def _folder_id(name: str) -> str:
    return "AAMkAGI2TG93AAA" + base64.urlsafe_b64encode(name.encode()).decode()


def _words(chance: random.Random, count: int) -> list[str]:
    return chance.choices(_vocabulary(), cum_weights=_weights(), k=count)


@functools.cache
def _vocabulary() -> list[str]:
    chance = random.Random("words")
    syllables = [start + vowel for start in _CONSONANTS for vowel in "aeiou"]
    lengths = chance.choices((1, 2, 3, 4), (1, 4, 4, 2), k=6_000)
    return [
        "".join(chance.choices(syllables, k=length)) + chance.choice(("", "n", "r", "s"))
        for length in lengths
    ]


@functools.cache
def _weights() -> list[float]:
    """Return running sums of 1/rank: few words make up most of a text, as in any language."""
    total = 0.0
    sums = []
    for rank in range(1, len(_vocabulary()) + 1):
        total += 1 / rank
        sums.append(total)
    return sums
