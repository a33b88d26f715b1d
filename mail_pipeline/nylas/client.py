"""A Nylas application: its key and its grants."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any
from weakref import WeakSet

from mail_pipeline.nylas.calls import Caller, Request
from mail_pipeline.nylas.clock import Clock
from mail_pipeline.nylas.errors import MalformedPage, NoAnswer, NotFound, Unreachable
from mail_pipeline.nylas.failures import ADDRESS_STEP
from mail_pipeline.nylas.grant import GrantClient
from mail_pipeline.nylas.pacing import Limits, Pace
from mail_pipeline.nylas.page_size import PageSize
from mail_pipeline.nylas.pages import Page
from mail_pipeline.nylas.provider_clock import ProviderClock
from mail_pipeline.nylas.quota import UnitBudget
from mail_pipeline.nylas.redaction import shown_grant
from mail_pipeline.nylas.transport import Transport, encoded
from mail_pipeline.nylas.view import EVERYTHING, Views
from mail_pipeline.nylas.webhooks import WebhookCalls

_GRANTS = "/v3/grants"
_RESCANS = 3
_LONGEST_WAIT = 3.0
"""A moment further off than that is no second that is about to end but a wrong clock."""


class NylasClient(WebhookCalls):
    """One Nylas application. Thread-safe; one per process, since it knows what each limit has left.

    Every method may raise the errors of `nylas.errors`, and Cancelled once it is cancelled.
    """

    def __init__(
        self,
        api_key: str,
        api_uri: str,
        *,
        limits: Limits | None = None,
        clock: Clock | None = None,
        views: Views | None = None,
    ) -> None:
        """Send nothing yet; `views` say what of each grant may be seen.

        Raises KeyRejected or NotNylas if key or address cannot be right.
        """
        self._views = views or (lambda grant_id, provider: None)
        self._api_key = api_key
        self._api_uri = api_uri
        self._limits = limits or Limits()
        self._clock = clock or Clock()
        self._provider_clock = ProviderClock(self._clock)
        self._lock = threading.Lock()
        self._transports: WeakSet[Transport] = WeakSet()
        self._transport = self._new_transport()
        pace = Pace(self._clock, in_flight=self._limits.other_in_flight)
        self._caller = self._new_caller(self._transport, pace, check_key=None)
        WebhookCalls.__init__(self, self._caller, self._limits)
        self._grants: dict[str, tuple[Pace, PageSize]] = {}

    def check(self) -> None:
        """Ask for one grant, to know that the address is Nylas' and the key works.

        Raises Unreachable, NotNylas or KeyRejected (nothing can go on), or Throttled or
        ProviderUnavailable (Nylas answers, but not now). What may pass is tried again for 10 s only.
        """
        silence = None
        try:
            self._check_key()
        except NoAnswer as error:
            silence = error.message
        if silence:
            raise Unreachable(silence, next_step=f"Check the network and any proxy. {ADDRESS_STEP}")

    def grants(self) -> Iterator[Page]:
        """Yield all grants, oldest first, each id once; id-less records come as they are.

        Grants have no cursor but an offset, and end with a page shorter than its limit (reference:
        nylas-api 2). A grant deleted during the scan moves those behind it forward, across a page's
        edge. So each page begins with the last grant of the one before, and where it does not, the
        scan begins again.
        """
        seen: set[str] = set()
        nameless = offset = rescans = 0
        last: str | None = None
        while True:
            page = self._grant_list(self._limits.page_size, offset)
            ids = [_id(record) for record in page.records]
            if offset and ids[:1] != [last] and rescans < _RESCANS:
                rescans += 1
                nameless = offset = 0
                continue
            new = []
            for record, key in zip(page.records, ids, strict=True):
                if key is None:
                    nameless += 1
                if key is None or key not in seen:
                    new.append(record)
                if key is not None:
                    seen.add(key)
            yield replace(page, records=new)
            if len(ids) < max(2, min(self._limits.page_size, page.limit or self._limits.page_size)):
                return
            offset, last = offset + len(ids) - 1, ids[-1]
            if offset > len(seen) + nameless + self._limits.page_size:
                raise MalformedPage(f"GET {_GRANTS} repeats itself and does not end", next_step=ADDRESS_STEP)

    def one_grant(self, grant_id: str) -> Page:
        """Return one grant as a page of one record. Raises NotFound if it is not there."""
        if not grant_id:
            raise NotFound(f"GET {_GRANTS}/<grant> needs a grant id, and it is empty")
        request = Request(
            path=f"{_GRANTS}/{encoded(grant_id)}",
            shown_path=f"{_GRANTS}/{shown_grant(grant_id)}",
            parameters={},
            shape="object",
            cost=0,
            interval=self._limits.application_interval,
            names="grant",
        )
        return self._caller.fetch(lambda: request)

    def grant(self, grant_id: str, provider: str) -> GrantClient:
        """Return a client for one grant, to be used in a `with`; `provider` decides its limits.

        Two clients of one grant share its limits, at the same time or one after the other.
        """
        with self._lock:
            if grant_id not in self._grants:
                self._grants[grant_id] = self._new_limits(provider)
            pace, page_size = self._grants[grant_id]
        transport = self._new_transport()
        return GrantClient(
            grant_id,
            provider,
            transport=transport,
            caller=self._new_caller(transport, pace, check_key=self._check_key),
            pace=pace,
            page_size=page_size,
            limits=self._limits,
            view=self._views(grant_id, provider) or EVERYTHING,
        )

    def wait_until(self, moment: float) -> None:
        """Wait until the provider's clock has passed a unix time, some seconds at the most.

        A later request then shows a later state. Raises Cancelled.
        """
        self._clock.wait(min(self._provider_clock.left_until(moment), _LONGEST_WAIT))

    def provider_time(self) -> int:
        """Return the provider's unix time, never too late; this machine's before the first answer."""
        return int(self._provider_clock.at(self._clock.monotonic()))

    def cancel(self) -> None:
        """End every wait and every request of this client and its grants at once with Cancelled."""
        self._clock.cancel()
        with self._lock:
            transports = list(self._transports)
        for transport in transports:
            transport.break_off()

    def close(self) -> None:
        """Close the connections of the application's own requests."""
        self._transport.close()

    def __enter__(self) -> "NylasClient":
        """Return itself; leaving closes the connections."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def _check_key(self) -> None:
        self._grant_list(1, 0, patience=self._limits.check_patience)

    def _grant_list(self, limit: int, offset: int, patience: float | None = None) -> Page:
        request = Request(
            path=_GRANTS,
            shown_path=_GRANTS,
            parameters={"limit": limit, "offset": offset, "sort_by": "created_at", "order_by": "asc"},
            shape="array",
            cost=0,
            interval=self._limits.application_interval,
        )
        return self._caller.fetch(lambda: request, patience=patience)

    def _new_transport(self) -> Transport:
        transport = Transport(self._api_key, self._api_uri, clock=self._clock, limits=self._limits)
        with self._lock:
            self._transports.add(transport)
        return transport

    def _new_caller(self, transport: Transport, pace: Pace, check_key: Callable[[], None] | None) -> Caller:
        return Caller(
            transport,
            pace,
            provider_clock=self._provider_clock,
            clock=self._clock,
            limits=self._limits,
            check_key=check_key,
        )

    def _new_limits(self, provider: str) -> tuple[Pace, PageSize]:
        limits = self._limits
        budget = UnitBudget(limits.google_units_per_second) if provider == "google" else None
        pace = Pace(self._clock, in_flight=limits.in_flight(provider), budget=budget)
        return pace, PageSize(limits.largest_page(provider))


def _id(record: Any) -> str | None:
    identifier = record.get("id") if isinstance(record, dict) else None
    return identifier if isinstance(identifier, str) else None
