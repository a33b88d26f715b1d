"""The outbox: every notification on its way to a webhook, tried up to three times, in a seeded order.

Notifications leave in the order of the changes. `Disorder` moves, doubles, delays and drops some; tries that
went wrong come back when they are due. With `parallel` over 1, those due together start in that order and may
overtake each other.
"""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from mail_pipeline.simulator.clock import SimulatedClock
from mail_pipeline.simulator.delivery import RETRY_AFTER_FIRST, TRIES, Try, attempt_delivery
from mail_pipeline.simulator.disorder import Disorder
from mail_pipeline.simulator.notifications import Event, Style, notifications, source
from mail_pipeline.simulator.problems import ApiError
from mail_pipeline.simulator.seeds import stable_int
from mail_pipeline.simulator.webhooks import Webhook, Webhooks

CAPACITY = 50_000
"""How many notifications that are done are remembered."""
_CONNECTIONS = 64
_UPSERTED = frozenset({"message", "calendar", "event"})
_SLACK = 0.001
"""Seconds by which a due time counts as reached, since times are sums of floats."""


@dataclass
class Notification:
    """An envelope on its way to one webhook."""

    number: int
    """Counted from 1 over all webhooks, in the order of the changes."""
    webhook_id: str
    envelope: dict[str, Any] = field(repr=False)
    """Without webhook_delivery_attempt."""
    due: float
    """Unix seconds of the next try."""
    scattered: bool = False
    state: str = "waiting"
    """waiting, delivered, refused (for good), exhausted (three tries), dropped, stopped (as its webhook)."""
    tries: list[Try] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Return what may be shown of it: no mail."""
        subject = self.envelope["data"]["object"]
        facts = {name: self.envelope[name] for name in ("id", "type", "time")}
        return {
            "number": self.number,
            "webhook_id": self.webhook_id,
            **facts,
            "grant_id": subject.get("grant_id"),
            "object_id": subject.get("id"),
            "state": self.state,
            "tries": [asdict(one) for one in self.tries],
        }


class Postman:
    """Delivers what is posted: when told, or in the background. `disorder` may be changed at any time."""

    def __init__(
        self,
        webhooks: Webhooks,
        clock: SimulatedClock,
        lock: threading.RLock,
        *,
        seed: int,
        disorder: Disorder | None = None,
        parallel: int = 1,
    ) -> None:
        """Take the webhooks to tell, and how many deliveries may be under way at once."""
        self.disorder = disorder or Disorder()
        self.style = Style()
        self.parallel = parallel
        self._webhooks = webhooks
        self._clock = clock
        self._seed = seed
        self._changed = threading.Condition(lock)
        self._sending = threading.Lock()
        self._events = 0
        self._count = 0
        self._waiting: dict[int, Notification] = {}
        self._done: deque[Notification] = deque(maxlen=CAPACITY)
        self._thread: threading.Thread | None = None
        self._running = False
        clock.on_advance(self._wake)

    def post(self, event: Event) -> None:
        """Put into the outbox what each webhook is to be told about a change."""
        with self._changed:
            for one in self._upserted(event):
                for webhook in self._webhooks:
                    if webhook.receives:
                        for kind, subject in notifications(one, webhook.triggers, self.style):
                            self._disturb(webhook, self._envelope(one, kind, subject))
            self._changed.notify_all()

    def notifications(self) -> list[Notification]:
        """Return those remembered, done or waiting, in the order of the changes."""
        with self._changed:
            return sorted([*self._done, *self._waiting.values()], key=lambda one: one.number)

    @property
    def waiting(self) -> int:
        """Return how many have a try before them."""
        return len(self._waiting)

    def deliver(self) -> int:
        """Try what is due now, on this thread, and return how many tries that were."""
        with self._sending:
            batch = self._due()
            if not batch:
                return 0
            with requests.Session() as session:
                # A proxy has no business with an address of this machine.
                session.trust_env = False
                session.mount("http://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
                if self.parallel <= 1:
                    return sum(self._try(session, one) for one in batch)
                with ThreadPoolExecutor(min(self.parallel, _CONNECTIONS)) as pool:
                    return sum(pool.map(lambda one: self._try(session, one), batch))

    def drain(self) -> int:
        """Try until nothing waits, advancing the clock to each retry; return how many tries that were."""
        tries = 0
        while (due := self._next_due()) is not None:
            self._clock.advance(max(0.0, due - self._clock.now()))
            tries += self.deliver()
        return tries

    def redeliver(self, notification: Notification) -> None:
        """Send a notification once more under its id, as a provider's doubled delivery."""
        with self._changed:
            self._put(notification.webhook_id, notification.envelope, self._clock.now())

    def start(self) -> None:
        """Deliver in the background, in real time, until `stop`."""
        with self._changed:
            if self._thread is None:
                self._running = True
                self._thread = threading.Thread(target=self._run, name="postman", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End what `start` began, after the deliveries under way; what waits stays in the outbox."""
        with self._changed:
            thread, self._thread, self._running = self._thread, None, False
            self._changed.notify_all()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._running:
                    return
                due = self._next_due()
                wait = None if due is None else due - self._clock.now()
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    continue
            self.deliver()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _upserted(self, event: Event) -> Iterator[Event]:
        self._events += 1
        merged = self.disorder.hits("merge", self._events)
        resource, _, change = event.trigger.partition(".")
        if resource not in _UPSERTED or not merged:
            yield event
        elif change == "created":
            yield event
            yield event._replace(trigger=f"{resource}.updated")
        else:
            yield event._replace(trigger=f"{resource}.created") if change == "updated" else event

    def _envelope(self, event: Event, kind: str, subject: dict[str, Any]) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "type": kind,
            "source": source(event),
            "id": self._id(kind),
            "time": event.time,
            "data": {"application_id": f"simulator-{self._seed}", "object": subject},
        }

    def _id(self, *what: str | int) -> str:
        """Return an envelope's id: one for each change and type, whatever the number of webhooks."""
        return f"{stable_int('envelope', self._seed, self._events, *what):020d}"

    def _disturb(self, webhook: Webhook, envelope: dict[str, Any]) -> None:
        """Put an envelope into the outbox, with what disorder does to it."""
        disorder, now = self.disorder, self._clock.now()
        number = self._count + 1
        if disorder.hits("drop", number):
            self._count = number
            self._done.append(Notification(number, webhook.id, envelope, now, state="dropped"))
            return
        late = disorder.delay_seconds if disorder.hits("delay", number) else 0.0
        self._put(webhook.id, envelope, now + late)
        if disorder.hits("duplicate", number):
            self._put(webhook.id, envelope, now)
        if disorder.hits("again", number):
            self._put(webhook.id, envelope | {"id": self._id(envelope["type"], number)}, now)

    def _put(self, webhook_id: str, envelope: dict[str, Any], due: float) -> None:
        self._count += 1
        scattered = self.disorder.hits("reorder", self._count)
        self._waiting[self._count] = Notification(self._count, webhook_id, envelope, due, scattered)
        self._changed.notify_all()

    def _next_due(self) -> float | None:
        with self._changed:
            return min((one.due for one in self._waiting.values()), default=None)

    def _due(self) -> list[Notification]:
        """Return what is due now, in the order it is sent in."""
        with self._changed:
            now = self._clock.now() + _SLACK
            batch = sorted(
                (one for one in self._waiting.values() if one.due <= now), key=lambda one: one.number
            )
        places = [
            self.disorder.draw("place", one.number, len(one.tries)) * len(batch) if one.scattered else place
            for place, one in enumerate(batch)
        ]
        return [one for _, one in sorted(zip(places, batch, strict=True), key=lambda pair: pair[0])]

    def _try(self, session: requests.Session, one: Notification) -> bool:
        """Try one notification; return whether its webhook was there to be tried."""
        with self._changed:
            try:
                webhook = self._webhooks.find(one.webhook_id)
            except ApiError:
                webhook = None
            if webhook is None or not webhook.receives:
                self._finish(one, "stopped")
                return False
            url, secret, compressed = webhook.url, webhook.secret, webhook.compressed
        outcome = attempt_delivery(
            session,
            one.envelope,
            url=url,
            secret=secret,
            compressed=compressed,
            attempt=len(one.tries) + 1,
            at=max(self._clock.now(), one.due),
        )
        with self._changed:
            one.tries.append(outcome)
            self._webhooks.tried(webhook, outcome.at, outcome.good)
            if outcome.good:
                self._finish(one, "delivered")
            elif not outcome.passing:
                self._finish(one, "refused")
            elif outcome.attempt == TRIES:
                self._finish(one, "exhausted")
            elif outcome.retry_after is not None:
                one.due = outcome.at + outcome.retry_after
            else:
                one.due = one.tries[0].at + RETRY_AFTER_FIRST[outcome.attempt - 1]
        return True

    def _finish(self, one: Notification, state: str) -> None:
        one.state = state
        del self._waiting[one.number]
        self._done.append(one)
