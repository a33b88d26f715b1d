"""The shape of a mailbox: who writes when, what answers what, where it is filed; no text yet.

Messages are numbered from the oldest, 0, to the newest. They are drafted in blocks of consecutive numbers,
each a pure function of the seed, the mailbox and the block's number, so any page of a huge mailbox costs a
block or two.
Conversations live inside their block; that is what gives replies plausible response times.
"""

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, exp
from random import Random
from statistics import NormalDist
from typing import NamedTuple

from mail_pipeline.simulator.folders import FolderPlan
from mail_pipeline.simulator.rhythm import DAY, HOUR, Rhythm
from mail_pipeline.simulator.seeds import stable_int, stable_random

CONVERSATION, NEWSLETTER, NOTICE = range(3)
CORRESPONDENTS = 60
SENDERS = 10
_RECENT_UNREAD = 30 * DAY
_GAUSS = NormalDist()


class Sketch(NamedTuple):
    """One message without its text."""

    date: int
    kind: int
    thread: int
    """Number of the thread's first message."""
    parent: int
    """Number of the message this one answers, -1 for the first of a thread."""
    other: int
    """Which correspondent, newsletter or service the thread is with."""
    sent: bool
    """The mailbox's owner wrote it."""
    folders: tuple[str, ...]
    unread: bool
    starred: bool


@dataclass(frozen=True, eq=False)
class Shape:
    """What the blocks of one mailbox are drafted from; `messages` in all, the newest before `now`."""

    seed: int
    mailbox: int
    messages: int
    rhythm: Rhythm
    plan: FolderPlan
    plain_only: float = 0.0
    recent: int = 0
    """Unix time from which the 90-day cache holds a message; only those can be in no folder."""

    @property
    def block_size(self) -> int:
        """Return how many messages share a block: few in small mailboxes, weeks' worth in large ones."""
        return max(64, min(512, self.messages // 64))

    def sketch(self, number: int) -> Sketch:
        """Return the sketch of one message; raises IndexError outside 0 to `messages` - 1."""
        if not 0 <= number < self.messages:
            raise IndexError(number)
        size = self.block_size
        return block(self, number // size)[number % size]

    def count_before(self, moment: int) -> int:
        """Return how many messages are older than a unix time: the number of the first that is not."""
        size = self.block_size
        low, high = 0, -(-self.messages // size)
        while low < high:
            middle = (low + high) // 2
            if self.starts(middle) < moment:
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return 0
        return (low - 1) * size + bisect_left(block(self, low - 1), moment, key=lambda sketch: sketch.date)

    def starts(self, number: int) -> int:
        """Return the unix time at which a block begins; all its messages fall before the next one begins."""
        return self.rhythm.instant(min(number * self.block_size / self.messages, 1.0))


class _Draft(NamedTuple):
    date: int
    order: int
    thread: int
    kind: int
    other: int
    sent: bool


@lru_cache(maxsize=128)
def block(shape: Shape, number: int) -> tuple[Sketch, ...]:
    """Return the sketches of a block, oldest first."""
    random = stable_random(shape.seed, shape.mailbox, "block", number)
    size = min(shape.block_size, shape.messages - number * shape.block_size)
    drafts: list[_Draft] = []
    low, high = shape.starts(number), shape.starts(number + 1)
    thread, first = 0, number * shape.block_size
    while len(drafts) < size:
        share = (first + random.random() * size) / shape.messages
        start = min(max(shape.rhythm.instant(share), low), max(high - 1, low))
        drafts.extend(_thread(shape, start, (low, high), thread, len(drafts), size - len(drafts), random))
        thread += 1
    # Ties keep the order of writing, so an answer never comes before its question.
    drafts.sort(key=lambda draft: (draft.date, draft.order))
    known: dict[int, tuple[int, int]] = {}
    sketches = []
    for index, draft in enumerate(drafts, first):
        start, parent = known.get(draft.thread, (index, -1))
        known[draft.thread] = (start, index)
        sketches.append(_sketch(shape, draft, start, parent, random))
    return tuple(sketches)


def _thread(
    shape: Shape, start: int, span: tuple[int, int], thread: int, order: int, room: int, random: Random
) -> list[_Draft]:
    """Draft a newsletter, a notice, or a conversation of at most `room` messages, within a span of time."""
    draw = random.random()
    if draw < 0.2:
        return [_Draft(start, order, thread, NEWSLETTER, int(random.random() * SENDERS), False)]
    if draw < 0.32:
        return [_Draft(start, order, thread, NOTICE, int(random.random() * SENDERS), False)]
    # Squaring makes few correspondents frequent, as in real mailboxes.
    other = int(CORRESPONDENTS * random.random() ** 2)
    length = 1
    while length < min(room, 12) and random.random() < 0.62:
        length += 1
    sent = random.random() < 0.4
    moment, dates, writers = float(start), [float(start)], [sent]
    pace = _pace(shape.seed, shape.mailbox, other)
    for _ in range(length - 1):
        sent = not sent if random.random() < 0.88 else sent
        median = 1.4 * HOUR if sent else pace * HOUR
        delay = median * exp(1.1 * _GAUSS.inv_cdf(0.001 + 0.998 * random.random()))
        moment = shape.rhythm.answer_time(moment + max(delay, 45.0), random.random())
        dates.append(moment)
        writers.append(sent)
    dates = _fit(dates, span[0], span[1] - 1, random.random())
    return [
        _Draft(int(date), order + position, thread, CONVERSATION, other, wrote)
        for position, (date, wrote) in enumerate(zip(dates, writers, strict=True))
    ]


@lru_cache(maxsize=4096)
def _pace(seed: int, mailbox: int, other: int) -> float:
    """Return how many hours a correspondent usually takes to answer: half an hour to four and a half."""
    return 0.5 + stable_int(seed, mailbox, other, "pace") % 1000 / 250


def _fit(dates: list[float], low: int, last: int, draw: float) -> list[float]:
    """Move a conversation between two times: by whole weeks or days, so that its hours stay, else faster."""
    overflow = dates[-1] - last
    if overflow <= 0:
        return dates
    for step in (7 * DAY, DAY):
        shift = ceil(overflow / step) * step
        if dates[0] - shift >= low:
            return [date - shift for date in dates]
    duration = dates[-1] - dates[0]
    squeeze = min(1.0, (0.4 + 0.6 * draw) * max(last - low, 0) / max(duration, 1.0))
    return [low + (date - dates[0]) * squeeze for date in dates]


def _sketch(shape: Shape, draft: _Draft, thread: int, parent: int, random: Random) -> Sketch:
    recent = draft.date > shape.rhythm.end - _RECENT_UNREAD
    unread = not draft.sent and random.random() < (0.35 if recent else 0.06)
    starred = random.random() < 0.03
    folders = shape.plan.place(
        sent=draft.sent,
        bulk=draft.kind != CONVERSATION,
        topic=draft.other,
        unread=unread,
        starred=starred,
        random=random,
    )
    if shape.plain_only and draft.date >= shape.recent and random.random() < shape.plain_only:
        folders = ()
    return Sketch(draft.date, draft.kind, thread, parent, draft.other, draft.sent, folders, unread, starred)
