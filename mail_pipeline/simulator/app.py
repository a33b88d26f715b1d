"""The HTTP face: routes, the key, faults and limits around each call, the log."""

import asyncio
import gzip
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from secrets import compare_digest
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mail_pipeline.simulator import attachments
from mail_pipeline.simulator.answers import Answer, foreign_page, refusal, spoil
from mail_pipeline.simulator.faults import Facts, Fault, Faults, Injection
from mail_pipeline.simulator.limits import Latency, Meter
from mail_pipeline.simulator.live import LiveMailbox
from mail_pipeline.simulator.log import LoggedRequest, RequestLog
from mail_pipeline.simulator.pager import Result
from mail_pipeline.simulator.problems import ApiError, bad_request, grant_expired, key_refused
from mail_pipeline.simulator.service import Service
from mail_pipeline.simulator.streams import PATHS, Call
from mail_pipeline.simulator.webhooks import Webhooks

_JSON = "application/json"
_WEBHOOKS = frozenset({"webhooks", "webhook", "rotate"})
_GZIP_FROM = 200


class EncodedPaths:
    """Routes on the path as it was sent: an id holding `%2F` is one segment, an unencoded slash is not."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put the raw path in place of the decoded one; handlers decode each segment once."""
        if scope["type"] == "http":
            scope = {**scope, "path": scope["raw_path"].decode("ascii")}
        await self._app(scope, receive, send)


@dataclass(frozen=True)
class Wiring:
    """What the routes work with."""

    service: Service
    meter: Meter
    faults: Faults
    latency: Latency
    log: RequestLog
    webhooks: Webhooks
    attachments: attachments.Attachments
    doors: Sequence[Route]
    api_key: str
    compress: bool


def create_app(wiring: Wiring) -> Starlette:
    """Return the app: Nylas' paths under /v3, the simulator's own under /simulator."""

    def api(operation: str) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            return await _Exchange(wiring, request, operation).answer()

        return endpoint

    grant, mail = "/v3/grants/{grant}", "/v3/grants/{grant}/messages"
    routes = [
        Route("/v3/grants", api("grants"), methods=["GET"]),
        Route(grant, api("grant"), methods=["GET"]),
        Route(f"{grant}/folders", api("folders"), methods=["GET"]),
        Route(f"{grant}/folders/{{id}}", api("folder"), methods=["GET"]),
        Route(mail, api("messages"), methods=["GET"]),
        Route(f"{mail}/{{id}}", api("message"), methods=["GET"]),
        Route(f"{grant}/attachments/{{id}}", api("attachment"), methods=["GET"]),
        Route(f"{grant}/attachments/{{id}}/download", api("download"), methods=["GET"]),
        *(Route(grant + path, api(name), methods=["GET"]) for name, path in PATHS.items()),
        Route("/v3/webhooks", api("webhooks"), methods=["GET", "POST"]),
        Route("/v3/webhooks/rotate-secret/{id}", api("rotate"), methods=["POST"]),
        Route("/v3/webhooks/{id}/rotate-secret", api("rotate"), methods=["PUT"]),
        Route("/v3/webhooks/{id}", api("webhook"), methods=["GET", "PUT", "DELETE"]),
        *wiring.doors,
        # Everything else is logged too, and refused as the API refuses.
        Route("/{rest:path}", api(""), methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(EncodedPaths)])


class _Exchange:
    """One request from its arrival to its entry in the log."""

    def __init__(self, wiring: Wiring, request: Request, operation: str) -> None:
        self._wiring = wiring
        self._request = request
        self._operation = operation
        self._arrived = time.time()
        self._now = wiring.service.world.clock.now()
        self._number = wiring.log.next_number()
        self._request_id = str(uuid.UUID(int=self._number, version=4))
        self._path = request.scope["path"]
        self._params = _joined(request.query_params)
        self._mailbox: LiveMailbox | None = None
        self._injection: Injection | None = None
        self._headers = {
            "x-request-id": self._request_id,
            "Date": formatdate(self._now, usegmt=True),
            "Content-Type": _JSON,
        }

    async def answer(self) -> Answer:
        result: Result | None = None
        spoiled: tuple[str, ...] = ()
        limited: str | None = None
        try:
            self._authorise()
            foreign = self._begin()
            if foreign is not None:
                status, body, self._headers["Content-Type"] = foreign
            else:
                result = await self._call()
                status, (body, spoiled) = 200, self._render(result)
        except ApiError as error:
            status, limited = error.status, error.limit
            body = orjson.dumps(error.record(self._request_id))
            self._headers |= error.headers
        if self._wiring.compress and len(body) >= _GZIP_FROM and self._accepts_gzip():
            body = gzip.compress(body, compresslevel=1, mtime=0)
            self._headers["Content-Encoding"] = "gzip"
        self._record(status, result, spoiled, limited)
        return Answer(body, status or 200, self._headers, self._injection)

    def _authorise(self) -> None:
        scheme, _, key = self._request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not compare_digest(key.encode(), self._wiring.api_key.encode()):
            raise key_refused()
        if not self._operation:
            raise ApiError(404, "not_found_error", "The simulator does not serve this path")

    def _begin(self) -> tuple[int, bytes, str] | None:
        """Find the grant; let a fault take the call's place, by an ApiError or an answer that is no JSON."""
        service = self._wiring.service
        if self._operation not in {"grants", *_WEBHOOKS}:
            with service.world.lock:
                self._mailbox = service.mailbox(self._segment("grant"))
        self._injection = injection = self._wiring.faults.decide(self._facts())
        if injection is not None:
            error = refusal(injection, self._now)
            if error is not None:
                raise error
            return foreign_page(injection.fault)
        return None

    async def _call(self) -> Result:
        wiring, mailbox = self._wiring, self._mailbox
        if mailbox is None or self._operation == "grant":
            turn = wiring.meter.application_call()
        elif not mailbox.grant.valid:
            raise grant_expired()
        else:
            turn = wiring.meter.mailbox_call(mailbox.grant, self._limit() or 1, self._operation)
        with turn:
            result = await self._found(mailbox)
            if mailbox is not None and self._operation != "grant":
                self._meter(mailbox, result)
            seconds = wiring.latency.base + wiring.latency.per_message * result.count
            if seconds:
                await asyncio.sleep(seconds)
        return result

    async def _found(self, mailbox: LiveMailbox | None) -> Result:
        if self._operation in _WEBHOOKS:
            body = await self._request.body()
            # A challenge takes as long as the one who is asked.
            return await asyncio.to_thread(self._webhook, body)
        with self._wiring.service.world.lock:
            return self._dispatch(mailbox)

    def _webhook(self, body: bytes) -> Result:
        webhooks, method = self._wiring.webhooks, self._request.method
        if self._operation == "webhooks":
            if method == "POST":
                return Result({"data": webhooks.create(_decoded(body)).record(with_secret=True)})
            records = [webhook.record() for webhook in webhooks]
            return Result({"data": records}, len(records))
        webhook_id = self._segment("id")
        if self._operation == "rotate":
            return Result({"data": webhooks.rotate(webhook_id).record(with_secret=True)})
        if method == "DELETE":
            webhooks.delete(webhook_id)
            return Result({"data": {"status": "success"}})
        if method == "PUT":
            return Result({"data": webhooks.update(webhook_id, _decoded(body)).record()})
        return Result({"data": webhooks.find(webhook_id).record()})

    def _dispatch(self, mailbox: LiveMailbox | None) -> Result:
        service, params, now = self._wiring.service, self._params, self._now
        if mailbox is None:
            return service.grants(params)
        if self._operation == "grant":
            return service.grant(mailbox.grant.id)
        if self._operation == "folders":
            return service.folders(mailbox, self._path, params, now)
        if self._operation == "folder":
            return service.folder(mailbox, self._segment("id"))
        if self._operation in attachments.OPERATIONS:
            return self._wiring.attachments.find(self._operation, mailbox, self._segment("id"), params)
        if self._operation == "message":
            return service.message(mailbox, self._segment("id"), params)
        repeat = self._injection is not None and self._injection.fault is Fault.REPEATED_RECORDS
        answer = service.streams.calls.get(self._operation)
        if answer is not None:
            object_id = self._segment("id") if "id" in self._request.path_params else ""
            return answer(Call(mailbox, self._path, params, now, object_id, repeat))
        return service.messages(mailbox, self._path, params, now, repeat_records=repeat)

    def _meter(self, mailbox: LiveMailbox, result: Result) -> None:
        provider, meter = mailbox.grant.provider, self._wiring.meter
        if provider == "google":
            units = meter.limits.google_units(self._operation, result.count)
            if not units:
                self._headers["Nylas-Provider-Request-Count"] = "1"
                return
            meter.charge(mailbox.grant, units)
            self._headers["Nylas-Gmail-Quota-Usage"] = str(units)
            self._headers["Nylas-Provider-Request-Count"] = str(1 + result.count)
        elif provider == "microsoft":
            self._headers["Nylas-Provider-Request-Count"] = "1"

    def _render(self, result: Result) -> tuple[bytes, tuple[str, ...]]:
        if result.content is not None:
            self._headers["Content-Type"] = "application/octet-stream"
            return result.content, ()
        envelope = {"request_id": self._request_id} | result.envelope
        if self._injection is None:
            return orjson.dumps(envelope), ()
        return spoil(envelope, self._injection, self._params.get("page_token"), self._operation)

    def _record(
        self, status: int, result: Result | None, spoiled: tuple[str, ...], limited: str | None
    ) -> None:
        client = self._request.client
        dates = result.dates if result else []
        self._wiring.log.add(
            LoggedRequest(
                number=self._number,
                time=self._arrived,
                client=f"{client.host}:{client.port}" if client else "",
                method=self._request.method,
                path=self._path,
                operation=self._operation,
                grant_id=None if self._mailbox is None else self._mailbox.grant.id,
                folder_id=self._params.get("in"),
                query_imap=self._params.get("query_imap") == "true",
                page_token=self._params.get("page_token"),
                limit=self._limit(),
                status=status,
                count=result.count if result else 0,
                first_date=max(dates, default=None),
                last_date=min(dates, default=None),
                fault=None if self._injection is None else self._injection.fault.value,
                limited=limited,
                spoiled=spoiled,
                query=self._params,
            )
        )

    def _facts(self) -> Facts:
        asked = sorted((key, value) for key, value in self._params.items() if key != "limit")
        folder = self._segment("id") if self._operation == "folder" else self._params.get("in")
        return Facts(
            operation=self._operation,
            grant_id=None if self._mailbox is None else self._mailbox.grant.id,
            folder_id=folder,
            page_token=self._params.get("page_token"),
            limit=self._limit() or 50,
            key=f"{self._path}?{asked}",
            calendar_id=self._params.get("calendar_id"),
        )

    def _segment(self, name: str) -> str:
        return unquote(self._request.path_params[name])

    def _limit(self) -> int | None:
        text = self._params.get("limit", "")
        return int(text) if text.isascii() and text.isdigit() else None

    def _accepts_gzip(self) -> bool:
        return "gzip" in self._request.headers.get("accept-encoding", "")


def _joined(query: QueryParams) -> dict[str, str]:
    """Return the parameters; one that is given several times is a list with commas."""
    return {name: ",".join(query.getlist(name)) for name in query}


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise bad_request("the body is not JSON") from None
