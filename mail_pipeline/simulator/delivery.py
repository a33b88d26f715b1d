"""One try to deliver a notification: signed over the very bytes sent, answered by 200 or not (6.3, 6.4)."""

import gzip
import hashlib
import hmac
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
import requests

from mail_pipeline.simulator.webhooks import ANSWER_SECONDS

TRIES = 3
RETRY_AFTER_FIRST = (120.0, 900.0)
"""Seconds from the first try to the second and to the third; the documents say 10 to 20 minutes in all."""
RETRIED = frozenset({408, 429, 502, 503, 504, 507})


@dataclass(frozen=True)
class Try:
    """How one try went."""

    attempt: int
    at: float
    """Unix seconds by the simulator's clock."""
    status: int | None
    """None where no answer came."""
    error: str | None = None
    """What kept the answer away."""
    retry_after: float | None = None
    """Seconds a 429 asked to wait."""

    @property
    def good(self) -> bool:
        """Return whether it was taken: nothing but 200 is."""
        return self.status == 200

    @property
    def passing(self) -> bool:
        """Return whether Nylas takes it for trouble that passes; every other answer is final."""
        return self.status is None or self.status in RETRIED


def signature(secret: str, body: bytes) -> str:
    """Return what x-nylas-signature says about these bytes."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def attempt_delivery(
    session: requests.Session,
    envelope: dict[str, Any],
    *,
    url: str,
    secret: str,
    compressed: bool,
    attempt: int,
    at: float,
) -> Try:
    """POST an envelope once and say how it went; `at` is the time by the simulator's clock."""
    body = orjson.dumps(envelope | {"webhook_delivery_attempt": attempt})
    headers = {"Content-Type": "application/json"}
    if compressed:
        body = gzip.compress(body, compresslevel=1, mtime=0)
        headers["Content-Encoding"] = "gzip"
    headers["x-nylas-signature"] = signature(secret, body)
    try:
        answer = session.post(url, body, headers=headers, timeout=ANSWER_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        return Try(attempt, at, None, type(error).__name__)
    wait = _seconds(answer.headers.get("Retry-After"), at) if answer.status_code == 429 else None
    return Try(attempt, at, answer.status_code, None, wait)


def _seconds(text: str | None, now: float) -> float | None:
    """Return what a Retry-After asks for, in seconds from now; None where it cannot be read."""
    if text is None or text.isdecimal():
        return None if text is None else float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except ValueError:
        return None
