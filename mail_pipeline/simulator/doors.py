"""What a test in another process asks the simulator itself: no key, since these paths are not Nylas'."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from mail_pipeline.simulator.fleet import MailboxSpec
from mail_pipeline.simulator.log import RequestLog
from mail_pipeline.simulator.postman import Postman
from mail_pipeline.simulator.provider import Provider
from mail_pipeline.simulator.truths import truth
from mail_pipeline.simulator.world import World

_JSON = "application/json"
_OPERATIONS = (
    *("arrive", "flag", "move", "edit", "delete", "restore"),
    *("create_folder", "rename_folder", "delete_folder"),
    *("create_contact", "update_contact", "delete_contact", "restore_contact"),
    *("create_calendar", "update_calendar", "delete_calendar"),
    *("create_event", "update_event", "delete_event", "restore_event", "move_event"),
    *("expire", "reauthenticate", "connect", "disconnect"),
)


def doors(world: World, provider: Provider, postman: Postman, log: RequestLog) -> list[Route]:
    """Return the routes under /simulator."""

    async def requests(request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isdecimal():
            return Response("after must be a whole number", 400)
        return _json([asdict(entry) for entry in log.entries(int(after))])

    async def true_records(request: Request) -> Response:
        stream = request.path_params.get("stream", "messages")
        try:
            records = truth(world, unquote(request.path_params["grant"]), stream)
        except (KeyError, ValueError):
            return Response(status_code=404)
        return StreamingResponse(_lines(records), media_type="application/x-ndjson")

    async def notifications(_: Request) -> Response:
        return _json([one.record() for one in postman.notifications()])

    async def happen(request: Request) -> Response:
        operation = request.path_params["operation"]
        if operation not in _OPERATIONS:
            return Response(f"operations are {', '.join(_OPERATIONS)}", 404)

        try:
            arguments = _object(await request.body())
            return _json(await asyncio.to_thread(_change, provider, operation, arguments))
        except KeyError:
            return Response("no such grant or object", 404)
        except (TypeError, ValueError) as error:
            return Response(str(error), 400)

    async def clock(request: Request) -> Response:
        try:
            world.clock.advance(float(_object(await request.body())["advance"]))
        except (KeyError, TypeError, ValueError):
            return Response('expected {"advance": seconds}', 400)
        return _json({"now": world.clock.now()})

    async def deliver(_: Request) -> Response:
        return _json({"tries": await asyncio.to_thread(postman.deliver)})

    async def drain(_: Request) -> Response:
        return _json({"tries": await asyncio.to_thread(postman.drain)})

    routes: list[tuple[str, Callable[[Request], Any], str]] = [
        ("requests", requests, "GET"),
        ("truth/{grant}", true_records, "GET"),
        ("truth/{grant}/{stream}", true_records, "GET"),
        ("notifications", notifications, "GET"),
        ("provider/{operation}", happen, "POST"),
        ("clock", clock, "POST"),
        ("postman/deliver", deliver, "POST"),
        ("postman/drain", drain, "POST"),
    ]
    return [Route(f"/simulator/{path}", endpoint, methods=[method]) for path, endpoint, method in routes]


def _change(provider: Provider, operation: str, arguments: dict[str, Any]) -> str:
    if operation == "connect":
        return provider.connect(MailboxSpec(**arguments))
    made: str = getattr(provider, operation)(**arguments)
    return made


def _object(body: bytes) -> dict[str, Any]:
    found = orjson.loads(body)
    if not isinstance(found, dict):
        raise ValueError("expected a JSON object")
    return found


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type=_JSON)


def _lines(records: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    return (orjson.dumps(record) + b"\n" for record in records)
