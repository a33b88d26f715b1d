"""What goes wrong, and when: by explicit rules, or at a rate that follows from a seed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mail_pipeline.simulator.seeds import stable_share

SURROGATE = "\ufdd0lone surrogate\ufdd0"
"""Stands for a lone surrogate, which no encoder writes, until the bytes are there."""


class Fault(StrEnum):
    """Everything the simulator can do wrong on purpose."""

    TOO_MANY_SECONDS = "429-retry-after-seconds"
    TOO_MANY_DATE = "429-retry-after-date"
    TOO_MANY = "429-without-retry-after"
    QUOTA_TEXT = "429-retry-after-in-text"
    QUOTA_FORBIDDEN = "403-quota"
    INTERNAL = "500"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    TIMEOUT = "504"
    HTML_ERROR = "502-html"
    HTML_OK = "200-html"
    EMPTY_ERROR = "503-empty"
    EMPTY_OK = "200-empty"
    RESET = "reset-before-answer"

    RESET_MIDWAY = "reset-midway"
    CLOSED_MIDWAY = "closed-midway"
    """The connection ends before Content-Length is reached."""
    TRUNCATED = "truncated-json"
    """The JSON stops half way, under a Content-Length that fits."""
    DRIP = "slow-drip"
    MALFORMED = "malformed-json"
    NO_DATA = "no-data"
    DATA_NOT_LIST = "data-not-list"

    REPEATED_RECORDS = "repeated-records"
    """The page begins with the last records of the page before."""
    REPEATED_CURSOR = "repeated-cursor"
    """next_cursor is the page_token that was sent."""
    CURSOR_EXPIRED = "cursor-expired"
    GRANT_EXPIRED = "grant-401"
    FOLDER_GONE = "folder-404"
    CALENDAR_GONE = "calendar-404"

    RECORD_WITHOUT_ID = "record-without-id"
    RECORD_NOT_OBJECT = "record-not-object"
    DATE_NOT_NUMBER = "date-not-number"
    SUBJECT_NOT_TEXT = "subject-not-text"
    TO_NOT_LIST = "to-not-list"
    LONE_SURROGATE = "lone-surrogate"


SPOILING = frozenset(
    {
        Fault.RECORD_WITHOUT_ID,
        Fault.RECORD_NOT_OBJECT,
        Fault.DATE_NOT_NUMBER,
        Fault.SUBJECT_NOT_TEXT,
        Fault.TO_NOT_LIST,
        Fault.LONE_SURROGATE,
    }
)
"""One record of a page is unreadable; the request log names it in `spoiled`."""
LASTING = frozenset(
    {
        *(Fault.REPEATED_CURSOR, Fault.CURSOR_EXPIRED),
        *(Fault.GRANT_EXPIRED, Fault.FOLDER_GONE, Fault.CALENDAR_GONE),
    }
)
"""Repeating the request is no help: the client has to do something else."""
TRANSIENT = frozenset(Fault) - SPOILING - LASTING
"""A client that repeats the request gets through, and has then missed nothing."""
_OF_JSON = frozenset(
    {Fault.TRUNCATED, Fault.MALFORMED, Fault.NO_DATA, Fault.DATA_NOT_LIST, Fault.REPEATED_RECORDS}
)
"""Of a file's bytes nobody could tell that they are not those that were sent."""
_MIRRORED = frozenset(
    ["messages", "contacts", "contact_groups", "calendars", "events", "events_import", "threads"]
)
_LISTS = _MIRRORED | {"grants", "folders"}
SPOILED_FIELDS: dict[Fault, tuple[object, dict[str, str]]] = {
    Fault.DATE_NOT_NUMBER: (
        "yesterday",
        {
            "messages": "date",
            "contacts": "updated_at",
            **dict.fromkeys(("events", "events_import"), "updated_at"),
            "threads": "earliest_message_date",
        },
    ),
    Fault.SUBJECT_NOT_TEXT: (
        {},
        {
            **dict.fromkeys(("messages", "threads"), "subject"),
            "contacts": "given_name",
            **dict.fromkeys(("calendars", "contact_groups"), "name"),
            **dict.fromkeys(("events", "events_import"), "title"),
        },
    ),
    Fault.TO_NOT_LIST: (
        "somebody@oak.example",
        {
            "messages": "to",
            "contacts": "emails",
            **dict.fromkeys(("events", "events_import", "threads"), "participants"),
        },
    ),
    Fault.LONE_SURROGATE: (
        f"<p>{SURROGATE}</p>",
        {
            "messages": "body",
            "contacts": "notes",
            **dict.fromkeys(("calendars", "events", "events_import"), "description"),
            "threads": "snippet",
        },
    ),
}
"""What a fault puts in place of a field, and of which field in each list; it spoils no other list."""
_NEEDS_LIST = frozenset({Fault.DATA_NOT_LIST})
_NEEDS_CURSOR = frozenset({Fault.REPEATED_RECORDS, Fault.REPEATED_CURSOR, Fault.CURSOR_EXPIRED})


@dataclass(frozen=True)
class Facts:
    """What a request asks for, as far as faults look at it."""

    operation: str
    """grants, grant, folders, folder, messages, message, contacts, contact, contact_groups, calendars,
    calendar, events, events_import, event, threads, thread, attachment, download, webhooks, webhook or
    rotate."""
    grant_id: str | None
    folder_id: str | None
    page_token: str | None
    limit: int
    key: str
    """Path and parameters without the limit: what makes it the same request when a client retries."""
    calendar_id: str | None = None

    def allows(self, fault: Fault) -> bool:
        """Return whether the fault means anything for this request."""
        if self.operation == "download" and fault in _OF_JSON:
            return False
        if fault in SPOILED_FIELDS:
            return self.operation in SPOILED_FIELDS[fault][1]
        if fault in SPOILING:
            return self.operation in _MIRRORED
        if fault in _NEEDS_LIST:
            return self.operation in _LISTS
        if fault in _NEEDS_CURSOR:
            repeats = fault is Fault.REPEATED_RECORDS
            return self.page_token is not None and (self.operation in _MIRRORED or not repeats)
        if fault is Fault.FOLDER_GONE:
            return self.folder_id is not None
        if fault is Fault.CALENDAR_GONE:
            return self.calendar_id is not None
        return fault is not Fault.GRANT_EXPIRED or self.grant_id is not None


@dataclass(frozen=True)
class FaultRule:
    """A fault at the requests it matches: at the `first` of them, counted from 1, and so many `times`."""

    fault: Fault
    operation: str | None = None
    """One of the operations in `Facts`; None matches all."""
    grant_id: str | None = None
    folder_id: str | None = None
    limit_over: int | None = None
    """Only requests with a larger `limit`: a 504 that halving the page cures."""
    first: int = 1
    times: int | None = 1
    """None: for ever."""
    seconds: float = 1.0
    """What Retry-After asks for, or how long a slow drip takes."""
    calendar_id: str | None = None

    def matches(self, facts: Facts) -> bool:
        """Return whether the rule counts this request."""
        return (
            self.operation in {None, facts.operation}
            and self.grant_id in {None, facts.grant_id}
            and self.folder_id in {None, facts.folder_id}
            and self.calendar_id in {None, facts.calendar_id}
            and (self.limit_over is None or facts.limit > self.limit_over)
            and facts.allows(self.fault)
        )

    def due(self, count: int) -> bool:
        """Return whether the fault happens at the `count`th request the rule matches."""
        return self.first <= count and (self.times is None or count < self.first + self.times)


@dataclass(frozen=True)
class Injection:
    """A fault to commit now."""

    fault: Fault
    seconds: float
    share: float
    """In [0, 1), from the seed: which record of the page is hit."""


class Faults:
    """The plan of what goes wrong. Without arguments nothing does."""

    def __init__(
        self,
        rules: Iterable[FaultRule] = (),
        *,
        rate: float = 0.0,
        kinds: Iterable[Fault] = TRANSIENT,
        seed: int = 0,
        in_a_row: int = 2,
        seconds: float = 1.0,
    ) -> None:
        """Take rules, the first match of which wins, and the share of all other requests that fails.

        What fails at a rate depends on the seed, the request and how often it was made, not on the order in
        which requests arrive; the same request fails at most `in_a_row` times, so a retry gets through.
        `seconds` is what Retry-After asks for, or how long a slow drip takes.
        """
        self._rules = tuple(rules)
        self._matched = Counter[int]()
        self._rate = rate
        # Sorted, since a set's order differs from process to process.
        self._kinds = sorted(kinds)
        self._seed = seed
        self._in_a_row = in_a_row
        self._seconds = seconds
        self._asked = Counter[str]()
        self._failed_in_a_row = Counter[str]()

    def decide(self, facts: Facts) -> Injection | None:
        """Count the request and return what goes wrong with it."""
        found = None
        for index, rule in enumerate(self._rules):
            if rule.matches(facts):
                self._matched[index] += 1
                count = self._matched[index]
                if found is None and rule.due(count):
                    found = Injection(rule.fault, rule.seconds, stable_share(self._seed, facts.key, count))
        return found or (self._at_rate(facts) if self._rate else None)

    def _at_rate(self, facts: Facts) -> Injection | None:
        self._asked[facts.key] += 1
        identity = (self._seed, facts.key, self._asked[facts.key])
        kinds = [kind for kind in self._kinds if facts.allows(kind)]
        if (
            not kinds
            or self._failed_in_a_row[facts.key] >= self._in_a_row
            or stable_share(*identity, "fails") >= self._rate
        ):
            self._failed_in_a_row.pop(facts.key, None)
            return None
        self._failed_in_a_row[facts.key] += 1
        kind = kinds[int(stable_share(*identity, "kind") * len(kinds))]
        return Injection(kind, self._seconds, stable_share(*identity, "record"))
