"""The rate limits of Nylas and of the providers, enforced as they are documented."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from mail_pipeline.simulator.identifiers import IMAP_FAMILY
from mail_pipeline.simulator.mailboxes import Grant
from mail_pipeline.simulator.problems import ApiError

MINUTE = 60.0
TEN_MINUTES = 600.0


@dataclass(frozen=True)
class Limits:
    """Every limit, None where it is not enforced. Sources: section 1.3 and 1.4 of the API notes."""

    google_units_per_second: float | None = 250.0
    """Per mailbox, counted over a sliding minute (60 times this)."""
    google_list_units: int = 5
    google_get_units: int = 5
    """20 in Google Cloud projects created from 2026-05-01."""
    google_attachment_units: int = 5
    google_thread_units: int = 40
    """Per thread, listed or found; old projects pay 10."""
    google_status: Literal[403, 429] = 429
    """How Google's refusal arrives; it sends quota errors as 403, too."""
    microsoft_in_flight: int | None = 4
    microsoft_per_ten_minutes: int | None = 10_000
    ews_page: int | None = 50
    """A larger page answers 504."""
    ews_threads: int | None = 20
    """A larger page of threads answers 504."""
    imap_in_flight: int | None = 1
    grant_per_second: int | None = 200
    """Nylas' own, per grant."""
    application_per_second: int | None = 50
    """Nylas' own, for the calls on grants themselves."""

    @classmethod
    def off(cls) -> "Limits":
        """Return limits that refuse nothing; quota is still counted and reported."""
        return cls(
            google_units_per_second=None,
            microsoft_in_flight=None,
            microsoft_per_ten_minutes=None,
            ews_page=None,
            ews_threads=None,
            imap_in_flight=None,
            grant_per_second=None,
            application_per_second=None,
        )

    @classmethod
    def new_google_project(cls) -> "Limits":
        """Return those of Google Cloud projects created from 2026-05-01: 6,000 a minute, gets cost 20."""
        return replace(cls(), google_units_per_second=100.0, google_get_units=20)

    def google_units(self, operation: str, count: int) -> int:
        """Return what a call that served `count` records costs: a list and one get per record, or one get.

        0 for what is no matter of Gmail: contacts, calendars and events.
        """
        gets = {"message": self.google_get_units, "thread": self.google_thread_units, "folder": 1}
        if operation in {"attachment", "download"}:
            return self.google_attachment_units
        if operation in gets:
            return gets[operation]
        one = gets.get(operation.removesuffix("s"))
        return 0 if one is None else self.google_list_units + count * one


@dataclass(frozen=True)
class Latency:
    """How long answers take, in seconds: `base`, and `per_message` for each record served."""

    base: float = 0.0
    per_message: float = 0.0


class Window:
    """What was spent in the last `span` seconds, never more than `budget`."""

    def __init__(self, span: float, budget: float) -> None:
        """Start with nothing spent."""
        self._span = span
        self._budget = budget
        self._spent: deque[tuple[float, float]] = deque()
        self._total = 0.0

    def spend(self, amount: float, now: float) -> float:
        """Spend and return 0, or spend nothing and return the seconds until there is room.

        An amount over the whole budget is let through when nothing else is in the window.
        """
        while self._spent and self._spent[0][0] <= now - self._span:
            self._total -= self._spent.popleft()[1]
        if self._spent and self._total + amount > self._budget:
            freed = 0.0
            for moment, part in self._spent:
                freed += part
                if self._total - freed + amount <= self._budget:
                    return moment + self._span - now
            return self._spent[-1][0] + self._span - now
        self._spent.append((now, amount))
        self._total += amount
        return 0.0


class Meter:
    """Keeps the books of the limits; every refusal is an ApiError that names its limit."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the limits and a clock in seconds."""
        self.limits = limits
        self._clock = clock
        self._in_flight: dict[str, int] = defaultdict(int)
        self._windows: dict[tuple[str, str], Window] = {}

    @contextmanager
    def application_call(self) -> Iterator[None]:
        """Count a call on grants."""
        self._nylas("application", "application", self.limits.application_per_second)
        yield

    @contextmanager
    def mailbox_call(self, grant: Grant, limit: int, operation: str = "messages") -> Iterator[None]:
        """Count a call on a grant's account, in flight for as long as the context is open."""
        self._nylas("grant", grant.id, self.limits.grant_per_second)
        self._in_flight[grant.id] += 1
        try:
            self._provider(grant, limit, operation, self._in_flight[grant.id])
            yield
        finally:
            self._in_flight[grant.id] -= 1

    def charge(self, grant: Grant, units: int) -> None:
        """Spend a Google mailbox's quota units."""
        rate = self.limits.google_units_per_second
        if grant.provider != "google" or rate is None:
            return
        wait = self._window("google", grant.id, MINUTE, rate * MINUTE).spend(units, self._clock())
        if wait:
            raise google_quota(self.limits.google_status, wait)

    def _provider(self, grant: Grant, limit: int, operation: str, in_flight: int) -> None:
        limits = self.limits
        ews_page = limits.ews_threads if operation == "threads" else limits.ews_page
        if grant.provider == "microsoft":
            if _over(in_flight, limits.microsoft_in_flight):
                raise _graph("Application is over its MailboxConcurrency limit.", "microsoft-in-flight", None)
            if limits.microsoft_per_ten_minutes is not None:
                window = self._window("microsoft", grant.id, TEN_MINUTES, limits.microsoft_per_ten_minutes)
                if wait := window.spend(1, self._clock()):
                    raise _graph("Application is over its request limit.", "microsoft-requests", wait)
        elif grant.provider == "ews" and _over(limit, ews_page):
            raise ApiError(504, "provider_error", "The provider did not answer in time", limit="ews-page")
        elif grant.provider in IMAP_FAMILY and _over(in_flight, limits.imap_in_flight):
            raise ApiError(503, "provider_error", "Too many simultaneous connections", limit="imap-in-flight")

    def _nylas(self, name: str, key: str, budget: int | None) -> None:
        if budget is not None and self._window(name, key, 1.0, budget).spend(1, self._clock()):
            raise ApiError(
                429, "nylas_rate_limit_exceeded", "Too many requests, please slow down", limit=f"nylas-{name}"
            )

    def _window(self, name: str, key: str, span: float, budget: float) -> Window:
        return self._windows.setdefault((name, key), Window(span, budget))


def _over(value: int, cap: int | None) -> bool:
    return cap is not None and value > cap


def google_quota(status: int, wait: float) -> ApiError:
    """Return Google's quota refusal; as a 429 its text says when to come back, in seconds from now."""
    until = datetime.fromtimestamp(time.time() + wait, UTC)
    moment = until.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = f"User-rate limit exceeded.  Retry after {moment}"
    if status == 403:
        reason = {
            "domain": "usageLimits",
            "reason": "userRateLimitExceeded",
            "message": "User Rate Limit Exceeded",
        }
        error = {"error": {"code": 403, "message": "User Rate Limit Exceeded", "errors": [reason]}}
        return ApiError(
            403, "provider_error", "User Rate Limit Exceeded", provider_error=error, limit="google-units"
        )
    error = {"error": {"code": 429, "message": text, "status": "RESOURCE_EXHAUSTED"}}
    return ApiError(429, "quota_exceeded_error", text, provider_error=error, limit="google-units")


def _graph(message: str, limit: str, wait: float | None) -> ApiError:
    headers = {} if wait is None else {"Retry-After": str(int(wait) + 1)}
    error = {
        "error": {
            "code": "ApplicationThrottled",
            "message": message,
            "innerError": {"code": "MailboxConcurrency"},
        }
    }
    return ApiError(429, "rate_limit_error", message, provider_error=error, headers=headers, limit=limit)
