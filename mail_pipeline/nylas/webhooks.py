"""The application's webhooks: where Nylas sends its notifications, and which."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mail_pipeline.nylas.calls import Caller, Method, Request
from mail_pipeline.nylas.errors import MalformedPage, NotFound, NotNylas, WebhookRefused
from mail_pipeline.nylas.failures import WEBHOOKS_STEP
from mail_pipeline.nylas.pacing import Limits
from mail_pipeline.nylas.pages import Page, Shape, UnreadableError, kind
from mail_pipeline.nylas.redaction import shown_token
from mail_pipeline.nylas.transport import encoded
from mail_pipeline.nylas.triggers import TRIGGERS, without

_WEBHOOKS = "/v3/webhooks"
_MADE_OR_NOT = (
    "Nobody knows whether the webhook was made: `mail-pipeline webhook status` shows it if it was, and "
    "`mail-pipeline webhook rotate` then brings a secret; if it was not, create it again."
)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as Nylas shows it. Times are unix seconds, None where Nylas does not say."""

    id: str
    url: str
    description: str
    triggers: tuple[str, ...]
    status: str
    """active, failing (95 % of deliveries fail), failed (nothing is sent any more), paused, or a word yet
    unknown; empty where there is none (reference: nylas-api 6.4)."""
    status_updated_at: int | None
    created_at: int | None
    updated_at: int | None
    compressed: bool
    secret: str | None = field(default=None, repr=False)
    """Only there when the webhook is made and when its secret is rotated."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Return what a mirror needs to be told and this webhook does not ask for."""
        return without(TRIGGERS, self.triggers)

    @classmethod
    def read(cls, record: Any) -> "Webhook":
        """Read a record of the API; all but id and URL may be missing or odd. Raises UnreadableError."""
        if not isinstance(record, dict):
            raise UnreadableError(f"expected an object, found {kind(record)}")
        triggers = record.get("trigger_types")
        status = _text(record.get("status"))
        return cls(
            id=_required(record, "id"),
            url=_required(record, "webhook_url"),
            description=_text(record.get("description")),
            triggers=tuple(filter(None, map(_text, triggers if isinstance(triggers, list) else ()))),
            # Nylas' clients write it either way.
            status="paused" if status == "pause" else status,
            status_updated_at=_time(record.get("status_updated_at")),
            created_at=_time(record.get("created_at")),
            updated_at=_time(record.get("updated_at")),
            compressed=record.get("compressed_delivery") is True,
            secret=_text(record.get("webhook_secret")) or None,
        )


class WebhookCalls:
    """Lists, makes and changes the application's webhooks; part of `NylasClient`. Thread-safe.

    Every method may raise the errors of `nylas.errors`, and Cancelled.
    """

    def __init__(self, caller: Caller, limits: Limits) -> None:
        """Send through the application's own caller."""
        self._webhook_caller = caller
        self._webhook_limits = limits

    def webhooks(self) -> list[Webhook]:
        """Return all webhooks of the application, without their secrets."""
        found: list[Webhook] = []
        cursors: set[str] = set()
        parameters: dict[str, str | int] = {}
        while True:
            page = self._call("GET", "", shape="array", parameters=parameters)
            found += _read("GET", page)
            if page.next_cursor is None or page.next_cursor in cursors:
                return found
            cursors.add(page.next_cursor)
            parameters = {"page_token": page.next_cursor}

    def webhook(self, webhook_id: str) -> Webhook:
        """Return one webhook, without its secret. Raises NotFound if it is not there."""
        return self._ask("GET", "/{}", webhook_id)

    def create_webhook(
        self,
        url: str,
        triggers: Iterable[str] = TRIGGERS,
        *,
        description: str = "",
        emails: Iterable[str] = (),
        compressed: bool = True,
    ) -> Webhook:
        """Make a webhook and return it with its secret; Nylas asks `url` for its challenge meanwhile.

        `emails` are told when deliveries fail; `compressed` deliveries are gzipped. Raises WebhookRefused,
        with the triggers that the application does not have, where it names them. It is never made twice:
        where nobody knows whether it was made, the error says so.
        """
        body = _body(url, triggers, description or None, tuple(emails) or None, compressed)
        return self._ask("POST", "", body=body, once=_MADE_OR_NOT)

    def update_webhook(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        triggers: Iterable[str] | None = None,
        description: str | None = None,
        emails: Iterable[str] | None = None,
        compressed: bool | None = None,
        status: str | None = None,
    ) -> Webhook:
        """Change what is given and return the webhook, without its secret.

        `status`: "active" or "pause". Raises NotFound or WebhookRefused.
        """
        body = _body(url, triggers, description, emails, compressed, status)
        return self._ask("PUT", "/{}", webhook_id, body=body)

    def activate_webhook(self, webhook_id: str) -> Webhook:
        """Let Nylas deliver again; it asks for the challenge anew. Nothing missed meanwhile is sent."""
        return self.update_webhook(webhook_id, status="active")

    def rotate_webhook_secret(self, webhook_id: str) -> Webhook:
        """Give the webhook a new secret and return it with that; the old one signs nothing any more."""
        # Nylas documents one form, and its own client uses the other. One that is not there may be
        # answered by the API or by a gateway.
        with suppress(NotFound, NotNylas, WebhookRefused):
            return self._ask("POST", "/rotate-secret/{}", webhook_id, body={})
        return self._ask("PUT", "/{}/rotate-secret", webhook_id, body={})

    def delete_webhook(self, webhook_id: str) -> None:
        """Delete a webhook; one that is not there is as good as deleted."""
        with suppress(NotFound):
            self._call("DELETE", "/{}", webhook_id, shape="nothing")

    def _ask(
        self,
        method: Method,
        path: str,
        webhook_id: str | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        once: str = "",
    ) -> Webhook:
        refusal = None
        try:
            page = self._call(method, path, webhook_id, body=body, once=once)
        except WebhookRefused as error:
            if not error.triggers:
                raise
            refusal = _naming_triggers(error, (body or {}).get("trigger_types", ()))
        if refusal:
            raise refusal
        [webhook] = _read(method, page)
        return webhook

    def _call(
        self,
        method: Method,
        path: str,
        webhook_id: str | None = None,
        *,
        shape: Shape = "object",
        parameters: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        once: str = "",
    ) -> Page:
        if webhook_id == "":
            raise NotFound("A webhook's id is empty", next_step=WEBHOOKS_STEP)
        request = Request(
            method=method,
            path=_WEBHOOKS + path.format(encoded(webhook_id or "")),
            shown_path=_WEBHOOKS + path.format(shown_token(webhook_id) or "<webhook>"),
            parameters=parameters or {},
            body=body,
            shape=shape,
            cost=0,
            interval=self._webhook_limits.application_interval,
            names=None if path == "" and method == "GET" else "webhook",
            once=once,
        )
        return self._webhook_caller.fetch(lambda: request)


def _read(method: Method, page: Page) -> list[Webhook]:
    try:
        return [Webhook.read(record) for record in page.records]
    except UnreadableError as error:
        said = str(error)
    text = f"{method} {_WEBHOOKS} brought a webhook that cannot be read (request id "
    text += f"{shown_token(page.request_id) or 'unknown'}): {said}"
    raise MalformedPage(text, next_step="Give Nylas' support the request id.")


def _naming_triggers(error: WebhookRefused, asked: Sequence[str]) -> WebhookRefused:
    # A refusal that names most of them lists those there are, and the others are at fault.
    lists = 0 < len(asked) / 2 < len(error.triggers)
    unknown = without(asked, error.triggers) if lists else error.triggers
    text = f"{error.message}: the application does not know {', '.join(unknown) or 'a trigger'}"
    return WebhookRefused(text, next_step=error.next_step, triggers=unknown)


def _body(
    url: str | None,
    triggers: Iterable[str] | None,
    description: str | None,
    emails: Iterable[str] | None,
    compressed: bool | None,
    status: str | None = None,
) -> dict[str, Any]:
    given = {
        "webhook_url": url,
        "trigger_types": None if triggers is None else list(triggers),
        "description": description,
        "notification_email_addresses": None if emails is None else list(emails),
        "compressed_delivery": compressed,
        "status": status,
    }
    return {name: value for name, value in given.items() if value is not None}


def _required(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value:
        found = "an empty one" if value == "" else "nothing" if name not in record else kind(value)
        raise UnreadableError(f"expected a string at its {name}, found {found}")
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _time(value: object) -> int | None:
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        # What no calendar has is no time.
        return int(datetime.fromtimestamp(value, UTC).timestamp())
    except (ValueError, OverflowError, OSError):
        return None
