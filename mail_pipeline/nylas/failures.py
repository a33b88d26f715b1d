"""What an answer that is no page means: try again, wait, or raise which error."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from mail_pipeline.errors import MailPipelineError
from mail_pipeline.nylas.errors import (
    CursorRejected,
    GrantRejected,
    KeyRejected,
    MalformedPage,
    NoAnswer,
    NotAllowed,
    NotFound,
    NotNylas,
    ProviderUnavailable,
    Throttled,
    Unsupported,
    WebhookRefused,
)
from mail_pipeline.nylas.pages import UnreadableError, decode
from mail_pipeline.nylas.provider_clock import http_date
from mail_pipeline.nylas.redaction import shown_token
from mail_pipeline.nylas.transport import Answer, Broken
from mail_pipeline.nylas.triggers import named_in

Retry = Literal["never", "few times", "patiently"]
Named = Literal["grant", "webhook"]

_THROTTLED = re.compile(r"rate.?limit|quota|throttl|too.?many.{0,12}requests", re.IGNORECASE)
_CURSOR = re.compile(r"page[ _-]?token|cursor|skip[ _-]?token", re.IGNORECASE)
_UNAUTHORIZED = re.compile(r"unauthorized|authentication_error")
_CHALLENGE = re.compile(r"challenge|verif", re.IGNORECASE)
_TAKEN = re.compile(r"already|exists|duplicate|unique|in use", re.IGNORECASE)
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_RETRY_AT = re.compile(r"retry after (\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:?\d\d)?)", re.IGNORECASE)

REGION_STEP = (
    "Check NYLAS_API_KEY, and that NYLAS_API_URI is the region the key was made in "
    "(https://api.us.nylas.com or https://api.eu.nylas.com)."
)
ADDRESS_STEP = "Set NYLAS_API_URI to your region: https://api.us.nylas.com or https://api.eu.nylas.com."
RECONNECT_STEP = (
    "Let the account's owner reconnect it through your Nylas sign-in page with the same provider; never "
    "delete the grant. Its backfill goes on from its checkpoint afterwards."
)
LATER_STEP = "Nothing stored is lost: run the backfill again later to go on from its checkpoint."
AGAIN_STEP = "Nothing stored is lost: try it again later."
WEBHOOKS_STEP = "`mail-pipeline webhook status` shows the webhooks there are."
RECEIVER_STEP = (
    "Start `mail-pipeline receive`, see that the internet reaches its path /webhooks/nylas at exactly this "
    "https address (Nylas blocks ngrok), and try again."
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that brought no page: the error to raise once trying again is over."""

    error: MailPipelineError
    retry: Retry = "never"
    wait: float | None = None
    """Seconds the provider asked for; None where it did not say."""
    throttled: bool = False
    too_slow: bool = False
    unauthorized: bool = False
    """401 on a grant: only asking the key's own list tells whether grant or key is at fault."""
    undone: bool = False
    """The request was certainly not carried out, and what it asked for may be asked for again."""


def later_step(application: bool) -> str:
    """Return the next step where only time helps; `application`: no mailbox was asked for."""
    return AGAIN_STEP if application else LATER_STEP


def broken(shown: str, exchange: Broken, *, application: bool = False) -> Failure:
    """Judge an exchange without an answer: worth trying again patiently."""
    error = NoAnswer(f"{shown} {exchange.reason}", next_step=later_step(application))
    return Failure(error, "patiently", too_slow=exchange.too_slow, undone=exchange.unsent)


def unreadable(shown: str, answer: Answer, why: UnreadableError, *, application: bool) -> Failure:
    """Judge a 200 that is no page."""
    text = f"{_said(shown, answer, {})}: {why}"
    if application:
        error: MailPipelineError = NotNylas(text, next_step=ADDRESS_STEP)
    else:
        error = MalformedPage(
            text, next_step=f"{LATER_STEP} If it stays, give Nylas' support the request id."
        )
    return Failure(error, "few times")


def refused(
    shown: str,
    answer: Answer,
    *,
    application: bool,
    cursor_sent: bool,
    provider_now: float,
    names: Named | None = None,
) -> Failure:
    """Judge an answer other than 200 by its status first, then by what its error says.

    `application`: the request was about the application (the key), not about a grant's mail; `names`
    what of it the path names. (reference: nylas-api 1.2)
    """
    status, details, shaped = answer.status, *_details(answer.body)
    text = _said(shown, answer, details)
    words = f"{details.get('type')} {details.get('message')} {details.get('provider_error')}"
    wait = _wait(answer.headers.get("Retry-After"), words, provider_now)

    if status == 429 or (status == 403 and _THROTTLED.search(words)) or _folders_throttled(answer):
        step = f"The provider's quota is used up for now. {later_step(application)}"
        return Failure(Throttled(text, next_step=step), "patiently", wait=wait, throttled=True, undone=True)
    if status == 408 or status >= 500:
        error = ProviderUnavailable(text, next_step=later_step(application))
        return Failure(error, "patiently", wait=wait, too_slow=status == 504)
    if status == 401 or (status == 400 and _UNAUTHORIZED.search(str(details.get("type")))):
        if application:
            return Failure(KeyRejected(text, next_step=REGION_STEP))
        return Failure(GrantRejected(text, next_step=RECONNECT_STEP), unauthorized=True)
    if status < 400:
        elsewhere = _elsewhere(answer)
        if application:
            return Failure(NotNylas(f"{text}{elsewhere}", next_step=ADDRESS_STEP))
        # Others of this address are answered well: it is this mailbox's alone.
        return unreadable(shown, answer, UnreadableError(f"expected 200{elsewhere}"), application=False)
    if application:
        if status == 403 and shaped:
            return Failure(KeyRejected(text, next_step=REGION_STEP))
        if shaped and names == "webhook":
            return Failure(_webhook_refused(status, text, words))
        if not shaped or names is None:
            return Failure(NotNylas(text, next_step=ADDRESS_STEP))
    if not shaped:
        # A gateway's own page. Taken at its word, its 404 would look like a deleted message.
        why = UnreadableError("expected a Nylas error, an object at $.error")
        return unreadable(shown, answer, why, application=application)
    if cursor_sent and status in (400, 410, 422) and _CURSOR.search(words):
        step = "List the mailbox again by time or from its start; what is stored stays."
        return Failure(CursorRejected(text, next_step=step))
    if status in (404, 410):
        step = "It was deleted or moved, or the grant is gone: run the job refresh_accounts."
        return Failure(NotFound(text, next_step=step))
    if status == 403:
        return Failure(NotAllowed(f"{text}: a permission is missing", next_step=RECONNECT_STEP))
    if status == 423:
        return Failure(GrantRejected(f"{text}: the account is blocked", next_step=RECONNECT_STEP))
    step = "The provider behind this grant cannot do this; give Nylas' support the request id."
    return Failure(Unsupported(text, next_step=step))


def _webhook_refused(status: int, text: str, words: str) -> MailPipelineError:
    if status in (404, 405, 410):
        return NotFound(f"{text}: there is no such webhook", next_step=WEBHOOKS_STEP)
    if triggers := named_in(words):
        step = "Leave out what your application does not have: --without TRIGGER."
        return WebhookRefused(text, next_step=step, triggers=triggers)
    if _CHALLENGE.search(words):
        text = f"{text}: the receiver did not answer Nylas' challenge"
        return WebhookRefused(text, next_step=RECEIVER_STEP)
    if _TAKEN.search(words):
        return WebhookRefused(f"{text}: this URL seems to have a webhook", next_step=WEBHOOKS_STEP)
    return WebhookRefused(text, next_step=RECEIVER_STEP)


def _details(body: bytes) -> tuple[Mapping[str, Any], bool]:
    try:
        envelope = decode(body)
    except UnreadableError:
        return {}, False
    if not isinstance(envelope, dict):
        return {}, False
    error = envelope.get("error")
    details = dict(error) if isinstance(error, dict) else {"type": error}
    details["request_id"] = envelope.get("request_id")
    return details, error is not None


def _said(shown: str, answer: Answer, details: Mapping[str, Any]) -> str:
    kind = shown_token(details.get("type"))
    request_id = shown_token(details.get("request_id")) or shown_token(answer.headers.get("x-request-id"))
    text = f"{shown} answered {answer.status}"
    if kind:
        text += f" {kind}"
    return f"{text} (request id {request_id})" if request_id else text


def _folders_throttled(answer: Answer) -> bool:
    return answer.status == 503 and "X-MS-ASThrottle" in answer.headers


def _wait(header: str | None, words: str, provider_now: float) -> float | None:
    # urllib3's parse_retry_after would measure a date against our wall clock, which may be wrong.
    seconds: float | None = None
    if header and _SECONDS.fullmatch(header.strip()):
        seconds = float(header)
    elif (moment := http_date(header) or _moment_in(words)) is not None:
        seconds = moment - provider_now
    return seconds if seconds is not None and seconds > 0 else None


def _moment_in(words: str) -> float | None:
    match = _RETRY_AT.search(words)
    if not match:
        return None
    try:
        moment = datetime.fromisoformat(match[1])
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _elsewhere(answer: Answer) -> str:
    try:
        host = urlsplit(answer.headers.get("Location", "")).hostname
    except ValueError:
        host = None
    return f": it points to another place, {host}, and the key is sent nowhere else" if host else ""
