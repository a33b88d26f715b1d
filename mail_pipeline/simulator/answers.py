"""Bytes on the wire: envelopes, spoiled pages, and connections that end too early."""

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from math import ceil
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mail_pipeline.simulator.faults import SPOILED_FIELDS, SPOILING, SURROGATE, Fault, Injection
from mail_pipeline.simulator.limits import google_quota
from mail_pipeline.simulator.problems import ApiError, bad_cursor, grant_expired, not_found

HANG_UP = "mail_pipeline.hang_up"
"""ASGI extension of our server: its `call` (reset: bool) ends the connection at once."""
_HTML = "<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>"
_DRIPS = 8


class Answer(Response):
    """An answer that may be dripped, cut or reset on its way, as its fault says."""

    def __init__(
        self, body: bytes, status: int, headers: dict[str, str], injection: Injection | None
    ) -> None:
        """Take the whole body and the fault, if any, that concerns its delivery."""
        super().__init__(body, status, headers)
        self._injection = injection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        fault = None if self._injection is None else self._injection.fault
        if fault not in {Fault.RESET, Fault.RESET_MIDWAY, Fault.CLOSED_MIDWAY, Fault.DRIP}:
            await super().__call__(scope, receive, send)
            return
        body = bytes(self.body)
        if fault is not Fault.RESET:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
        if fault is Fault.DRIP and self._injection is not None:
            size = ceil(len(body) / _DRIPS) or 1
            for start in range(0, len(body), size):
                part = body[start : start + size]
                await send(
                    {"type": "http.response.body", "body": part, "more_body": start + size < len(body)}
                )
                await asyncio.sleep(self._injection.seconds / _DRIPS)
            return
        if fault is not Fault.RESET:
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            # A reset discards what the other end has not read yet; let the first half arrive.
            await asyncio.sleep(0.01)
        hang_up: Callable[[bool], None] = scope["extensions"][HANG_UP]["call"]
        hang_up(fault is not Fault.CLOSED_MIDWAY)
        while (await receive())["type"] != "http.disconnect":
            pass


def refusal(injection: Injection, now: float) -> ApiError | None:
    """Return the error answer a fault stands for; None for other faults. `now` is the Date served."""
    fault, seconds = injection.fault, injection.seconds
    throttled = ("rate_limit_error", "The provider is throttling this account")
    errors: dict[Fault, Callable[[], ApiError]] = {
        Fault.TOO_MANY_SECONDS: lambda: ApiError(
            429, *throttled, headers={"Retry-After": str(ceil(seconds))}
        ),
        Fault.TOO_MANY_DATE: lambda: ApiError(
            429, *throttled, headers={"Retry-After": formatdate(ceil(now + seconds), usegmt=True)}
        ),
        Fault.TOO_MANY: lambda: ApiError(
            429, "nylas_rate_limit_exceeded", "Too many requests, please slow down"
        ),
        Fault.QUOTA_TEXT: lambda: google_quota(429, seconds),
        Fault.QUOTA_FORBIDDEN: lambda: google_quota(403, seconds),
        Fault.INTERNAL: lambda: ApiError(500, "api.internal_error", "Internal server error"),
        Fault.BAD_GATEWAY: lambda: ApiError(502, "provider_error", "Bad gateway"),
        Fault.UNAVAILABLE: lambda: ApiError(
            503, "provider_error", "The server is busy", headers={"X-MS-ASThrottle": "CommandFrequency"}
        ),
        Fault.TIMEOUT: lambda: ApiError(504, "api.provider_error", "The provider did not answer in time"),
        Fault.CURSOR_EXPIRED: bad_cursor,
        Fault.GRANT_EXPIRED: grant_expired,
        Fault.FOLDER_GONE: lambda: not_found("folder"),
        Fault.CALENDAR_GONE: lambda: not_found("calendar"),
    }
    return errors[fault]() if fault in errors else None


def foreign_page(fault: Fault) -> tuple[int, bytes, str] | None:
    """Return status, body and content type of an answer that is not JSON at all."""
    return {
        Fault.HTML_ERROR: (502, _HTML.encode(), "text/html"),
        Fault.HTML_OK: (200, _HTML.encode(), "text/html"),
        Fault.EMPTY_ERROR: (503, b"", "application/json"),
        Fault.EMPTY_OK: (200, b"", "application/json"),
        Fault.RESET: (0, b"", "application/json"),
    }.get(fault)


def spoil(
    envelope: dict[str, Any], injection: Injection, page_token: str | None, operation: str
) -> tuple[bytes, tuple[str, ...]]:
    """Return the page's bytes with the fault worked in, and the ids of the records it made unreadable."""
    fault = injection.fault
    spoiled: tuple[str, ...] = ()
    if fault is Fault.NO_DATA:
        del envelope["data"]
    elif fault is Fault.DATA_NOT_LIST:
        envelope["data"] = "temporarily unavailable"
    elif fault is Fault.REPEATED_CURSOR:
        envelope["next_cursor"] = page_token
    elif fault in SPOILING and envelope["data"]:
        records = envelope["data"]
        index = int(injection.share * len(records))
        spoiled = (records[index].get("id", ""),)
        records[index] = _spoiled_record(records[index], fault, operation)
    body = orjson.dumps(envelope).replace(SURROGATE.encode(), rb"\ud800")
    if fault is Fault.MALFORMED:
        body = body[:-1] + b",]"
    elif fault is Fault.TRUNCATED:
        body = body[: len(body) // 2]
    return body, spoiled


def _spoiled_record(record: dict[str, Any], fault: Fault, operation: str) -> object:
    if fault is Fault.RECORD_NOT_OBJECT:
        return "Lorem ipsum"
    if fault is Fault.RECORD_WITHOUT_ID:
        return {key: value for key, value in record.items() if key != "id"}
    value, fields = SPOILED_FIELDS[fault]
    return record | {fields[operation]: value}
