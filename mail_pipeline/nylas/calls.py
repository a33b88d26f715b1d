"""One request, sent again and again until it brings a page or trying on makes no sense."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, TypeVar

from mail_pipeline.errors import RetryLater
from mail_pipeline.nylas.clock import Clock
from mail_pipeline.nylas.errors import Throttled, TooLarge
from mail_pipeline.nylas.failures import Failure, Named, broken, later_step, refused, unreadable
from mail_pipeline.nylas.pacing import Limits, Pace, Turn
from mail_pipeline.nylas.pages import Download, Envelope, Page, Shape, UnreadableError, read_envelope
from mail_pipeline.nylas.provider_clock import ProviderClock, http_date
from mail_pipeline.nylas.quota import LIST_UNITS, MESSAGE_UNITS
from mail_pipeline.nylas.redaction import shown_request
from mail_pipeline.nylas.transport import Answer, Broken, Transport

_Brought = TypeVar("_Brought", Page, Download)

Method = Literal["GET", "POST", "PUT", "DELETE"]

_UNITS_HEADER = "Nylas-Gmail-Quota-Usage"
_DONE = frozenset({200, 201, 202, 204})


@dataclass(frozen=True, slots=True)
class Request:
    """One request: what is sent, how it may be shown, and what it is expected to cost."""

    path: str
    """Percent-encoded, from `/v3` on."""
    shown_path: str
    """The same for people: without ids of messages."""
    parameters: Mapping[str, str | int]
    shape: Shape
    cost: int
    interval: float
    """Least seconds until the grant's next request starts."""
    lists_messages: bool = False
    method: Method = "GET"
    body: Mapping[str, Any] | None = None
    names: Named | None = None
    """What of the application the path names: a 404 means that this does not exist."""
    once: str = ""
    """Set where carrying it out twice would do harm: the next step where nobody knows whether it was
    carried out. It is sent again only where it certainly was not."""

    @property
    def limit(self) -> int | None:
        """The page size asked for, where it is a list."""
        limit = self.parameters.get("limit")
        return limit if isinstance(limit, int) else None

    @property
    def shown(self) -> str:
        """The request without any value that could be mail."""
        return shown_request(self.method, self.shown_path, self.parameters)

    def brought(self, status: int) -> bool:
        """Tell whether an answer of this status is what was asked for."""
        return status == 200 or (self.method != "GET" and status in _DONE)


class Caller:
    """Sends the requests of one grant, or of the application, at its pace. Thread-safe."""

    def __init__(
        self,
        transport: Transport,
        pace: Pace,
        *,
        provider_clock: ProviderClock,
        clock: Clock,
        limits: Limits,
        check_key: Callable[[], None] | None = None,
    ) -> None:
        """`check_key` raises if the key itself is refused; None for the application's own requests."""
        self._transport = transport
        self._pace = pace
        self._provider_clock = provider_clock
        self._clock = clock
        self._limits = limits
        self._check_key = check_key

    def fetch(
        self,
        build: Callable[[], Request],
        *,
        patience: float | None = None,
        too_slow: Callable[[int], None] | None = None,
    ) -> Page:
        """Return the page that the request brings.

        `build` makes the request anew for each try, so that a smaller page can be asked for after
        `too_slow` was told the size that took too long. `patience`: seconds of trying again, counted
        from the first failure. Raises the errors of `nylas.errors`, and Cancelled.
        """
        return self._persist(build, self._page, patience, too_slow)

    def download(
        self, request: Request, target: BinaryIO, *, most: int, looks_like: Callable[[Answer], bool]
    ) -> Download:
        """Write the body that the request brings to `target`, from its start at each try.

        `looks_like` tells a file from a page that some gateway sent in its place. Raises TooLarge as soon as
        there are more than `most` bytes, the OSError of a `target` that cannot be written, and what `fetch`
        raises.
        """

        def attempt(request: Request, number: int) -> Download | Failure:
            with self._pace.turn(request.cost, request.interval) as turn:
                answer = self._answer(
                    request,
                    turn,
                    self._transport.download(request.path, request.parameters, target, most=most),
                )
                if isinstance(answer, Failure):
                    return answer
                size = answer.size or 0
                if size > most:
                    text = f"{request.shown} has more than {most:,} bytes"
                    return Failure(TooLarge(text, next_step="Fetch it with a larger size allowed."))
                if not looks_like(answer):
                    why = UnreadableError("expected the bytes of a file")
                    return unreadable(request.shown, answer, why, application=self._application)
                self._pace.served(size, units=turn.units)
            return Download(size, turn.units, number)

        patience = min(self._limits.patience, self._limits.item_patience)
        return self._persist(lambda: request, attempt, patience, None)

    def _persist(
        self,
        build: Callable[[], Request],
        attempt: Callable[[Request, int], _Brought | Failure],
        patience: float | None,
        too_slow: Callable[[int], None] | None,
    ) -> _Brought:
        failures = unreadable_answers = 0
        give_up_at = 0.0
        patience = self._limits.patience if patience is None else patience
        while True:
            request = build()
            if not failures:
                self._refuse_if_held(request, patience)
            outcome = attempt(request, failures + 1)
            if not isinstance(outcome, Failure):
                return outcome
            # An answer lost because we were told to stop says nothing about the provider.
            self._clock.check()
            failures += 1
            unreadable_answers += outcome.retry == "few times"
            if request.once and outcome.retry != "never" and not outcome.undone:
                outcome.error.next_step = request.once
                raise outcome.error
            if outcome.unauthorized and self._check_key:
                self._check_key()
            if outcome.retry == "never" or unreadable_answers > self._limits.malformed_retries:
                raise outcome.error
            if outcome.too_slow and too_slow and request.limit:
                too_slow(request.limit)
            now = self._clock.monotonic()
            if failures == 1:
                give_up_at = now + patience
            delay = min(outcome.wait or self._limits.backoff(failures), self._limits.longest_hold)
            ends = now + delay > give_up_at
            if outcome.wait or not ends:
                self._pace.hold(delay)
            if ends:
                if outcome.wait and isinstance(outcome.error, RetryLater):
                    outcome.error.retry_after = delay
                raise outcome.error

    def _refuse_if_held(self, request: Request, patience: float) -> None:
        left = self._pace.hold_left
        if left > patience:
            text = f"{request.shown} was not sent: the provider asked for {left:.0f} s of peace"
            raise Throttled(text, next_step=later_step(self._application), retry_after=left)

    @property
    def _application(self) -> bool:
        return self._check_key is None

    def _answer(self, request: Request, turn: Turn, answer: Answer | Broken) -> Answer | Failure:
        """Return an answer that brings what was asked for, or why there is none; count its units."""
        if isinstance(answer, Broken):
            return broken(request.shown, answer, application=self._application)
        turn.units = self._units(answer, request.cost)
        if not request.brought(answer.status):
            failure = self._refused(request, answer)
            if failure.throttled:
                turn.units = self._units(answer, 0)
                self._pace.throttled()
            return failure
        return answer

    def _page(self, request: Request, number: int) -> Page | Failure:
        with self._pace.turn(request.cost, request.interval) as turn:
            answer = self._answer(
                request,
                turn,
                self._transport.send(request.method, request.path, request.parameters, request.body),
            )
            if isinstance(answer, Failure):
                return answer
            try:
                envelope = read_envelope(answer.body, request.shape)
            except UnreadableError as error:
                return unreadable(request.shown, answer, error, application=self._application)
            self._provider_clock.learn(answer.headers.get("Date"), answer.received)
            turn.units = units = self._units(answer, self._estimate(request, envelope))
            self._pace.served(
                len(answer.body),
                messages=len(envelope.records) if request.lists_messages else None,
                units=units,
            )
        return Page(
            records=envelope.records,
            next_cursor=envelope.next_cursor,
            observed_at=int(self._provider_clock.at(answer.sent)),
            body_bytes=len(answer.body),
            quota_units=units,
            request_id=envelope.request_id or answer.headers.get("x-request-id", ""),
            requests=number,
            limit=envelope.limit,
        )

    def _refused(self, request: Request, answer: Answer) -> Failure:
        return refused(
            request.shown,
            answer,
            application=self._application,
            names=request.names,
            cursor_sent="page_token" in request.parameters,
            provider_now=http_date(answer.headers.get("Date")) or self._provider_clock.at(answer.received),
        )

    def _estimate(self, request: Request, envelope: Envelope) -> int:
        if not self._pace.counts_units or not request.cost:
            return 0
        if request.shape == "object":
            return MESSAGE_UNITS
        return LIST_UNITS + MESSAGE_UNITS * len(envelope.records)

    def _units(self, answer: Answer, otherwise: int) -> int:
        header = answer.headers.get(_UNITS_HEADER, "").strip()
        return int(header) if header.isdecimal() and len(header) < 10 else otherwise
