"""An application's webhooks: created, read, changed, rotated and deleted as over the API (API notes, 6.1)."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests

from mail_pipeline.simulator.clock import SimulatedClock
from mail_pipeline.simulator.health import Health
from mail_pipeline.simulator.notifications import TRIGGERS
from mail_pipeline.simulator.problems import bad_request, not_found
from mail_pipeline.simulator.seeds import stable_int

ANSWER_SECONDS = 10.0
"""How long Nylas waits for the answer to a challenge or a notification."""
_PAUSED = {"pause": "pause", "paused": "pause"}
_LOCAL = {"127.0.0.1", "localhost", "::1"}


@dataclass
class Webhook:
    """A destination; `status` is active, failing, failed or pause (as the vendor's client spells it)."""

    id: str
    url: str
    triggers: frozenset[str]
    secret: str = field(repr=False)
    created_at: int
    updated_at: int
    status_updated_at: int
    description: str = ""
    emails: list[str] = field(default_factory=list, repr=False)
    compressed: bool = False
    status: str = "active"
    health: Health = field(default_factory=Health, repr=False)

    @property
    def receives(self) -> bool:
        """Return whether anything is sent to it."""
        return self.status in {"active", "failing"}

    def record(self, *, with_secret: bool = False) -> dict[str, Any]:
        """Return the API's object; the secret is shown on creation and rotation only."""
        record = {
            "id": self.id,
            "description": self.description,
            "trigger_types": sorted(self.triggers),
            "webhook_url": self.url,
            "status": self.status,
            "notification_email_addresses": self.emails,
            "compressed_delivery": self.compressed,
            "status_updated_at": self.status_updated_at,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }
        return record | ({"webhook_secret": self.secret} if with_secret else {})


class Webhooks:
    """All webhooks of the application; a refusal is an ApiError. A challenge goes out without the lock."""

    def __init__(
        self, clock: SimulatedClock, lock: threading.RLock, *, seed: int, secret: str | None = None
    ) -> None:
        """Take the secret of new webhooks; ids, and the secrets where None, follow from the seed."""
        self.refused_triggers: set[str] = set()
        self._clock = clock
        self._lock = lock
        self._seed = seed
        self._secret = secret
        self._count = 0
        self._webhooks: dict[str, Webhook] = {}

    def __iter__(self) -> Iterator[Webhook]:
        """Yield the webhooks in order of creation."""
        with self._lock:
            return iter(tuple(self._webhooks.values()))

    def find(self, webhook_id: str) -> Webhook:
        """Return a webhook; raises the API's 404."""
        with self._lock:
            if webhook_id not in self._webhooks:
                raise not_found("webhook")
            return self._webhooks[webhook_id]

    def create(self, body: Any) -> Webhook:
        """Create a webhook whose URL answers the challenge."""
        settings = self._settings(body)
        for name in ("trigger_types", "webhook_url"):
            if name not in settings:
                raise bad_request(f"{name} is required")
        url = settings["webhook_url"]
        self._challenge(url)
        with self._lock:
            self._require_unused(url, None)
            now = int(self._clock.now())
            webhook = Webhook(
                self._token("id")[:20],
                url,
                frozenset(settings["trigger_types"]),
                self._token("secret") if self._secret is None else self._secret,
                *(now, now, now),
                description=settings.get("description") or "",
                emails=settings.get("notification_email_addresses") or [],
                compressed=settings.get("compressed_delivery") is True,
            )
            self._webhooks[webhook.id] = webhook
            return webhook

    def update(self, webhook_id: str, body: Any) -> Webhook:
        """Change a webhook; another URL and a return to active take a challenge."""
        webhook = self.find(webhook_id)
        settings = self._settings(body)
        wanted = settings.get("status", webhook.status)
        if wanted not in {*_PAUSED, "active", webhook.status}:
            raise bad_request("status must be active or pause")
        status = _PAUSED.get(wanted, wanted)
        url = settings.get("webhook_url", webhook.url)
        if url != webhook.url or (status == "active" and webhook.status != "active"):
            self._challenge(url)
        with self._lock:
            self._require_unused(url, webhook)
            now = int(self._clock.now())
            webhook.url = url
            webhook.triggers = frozenset(settings.get("trigger_types", webhook.triggers))
            webhook.description = settings.get("description", webhook.description)
            webhook.emails = settings.get("notification_email_addresses", webhook.emails)
            webhook.compressed = settings.get("compressed_delivery", webhook.compressed)
            webhook.updated_at = now
            if status == "active" and webhook.status != "active":
                webhook.health = Health()
            if status != webhook.status:
                webhook.status, webhook.status_updated_at = status, now
        return webhook

    def rotate(self, webhook_id: str) -> Webhook:
        """Give a webhook another secret; the old one signs nothing from now on."""
        with self._lock:
            webhook = self.find(webhook_id)
            webhook.secret = self._token("secret")
            webhook.updated_at = int(self._clock.now())
        return webhook

    def delete(self, webhook_id: str) -> None:
        """Forget a webhook."""
        with self._lock:
            self.find(webhook_id)
            del self._webhooks[webhook_id]

    def tried(self, webhook: Webhook, now: float, good: bool) -> None:
        """Note how a delivery went; that may change the status."""
        with self._lock:
            status = webhook.health.status(now, good)
            if webhook.receives and status != webhook.status:
                webhook.status, webhook.status_updated_at = status, int(now)

    def _settings(self, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict):
            raise bad_request("the body must be a JSON object")
        triggers = body.get("trigger_types", ["message.created"])
        if not isinstance(triggers, list) or not triggers:
            raise bad_request("trigger_types must be a list of at least one trigger")
        for trigger in triggers:
            if trigger not in TRIGGERS or trigger in self.refused_triggers:
                raise bad_request(f"trigger_types: {trigger!r} is not a trigger")
        if "webhook_url" in body:
            _require_url(body["webhook_url"])
        return body

    def _require_unused(self, url: str, own: Webhook | None) -> None:
        if any(webhook.url == url and webhook is not own for webhook in self._webhooks.values()):
            raise bad_request("webhook_url is used by another webhook already")

    def _token(self, what: str) -> str:
        with self._lock:
            self._count += 1
            numbers = [stable_int("webhook", what, self._seed, self._count, part) for part in range(2)]
        return "".join(f"{number:016x}" for number in numbers)

    def _challenge(self, url: str) -> None:
        """Ask a URL to prove itself, once; raises the API's 400 where it does not."""
        value = self._token("challenge")
        with requests.Session() as session:
            # A proxy has no business with an address of this machine.
            session.trust_env = False
            try:
                answer = session.get(
                    url, params={"challenge": value}, timeout=ANSWER_SECONDS, allow_redirects=False
                )
            except requests.RequestException:
                raise bad_request("webhook_url did not answer the challenge") from None
        if answer.status_code != 200 or answer.content != value.encode():
            raise bad_request(
                f"webhook_url did not answer the challenge with its value (status {answer.status_code})"
            )
        if "Content-Length" not in answer.headers:
            raise bad_request("webhook_url answered the challenge without a Content-Length")


def _require_url(url: object) -> None:
    """Raise the API's 400 for a URL that is not https, or http on this machine."""
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or not parts.hostname or parts.scheme not in {"http", "https"}:
        raise bad_request("webhook_url must be a URL")
    if parts.scheme != "https" and parts.hostname not in _LOCAL:
        raise bad_request("webhook_url must be https")
