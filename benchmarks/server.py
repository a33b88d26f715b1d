"""A Nylas v3 server for benchmarks: grants, folders and messages, without limits, faults or filters.

    python -m benchmarks.server --mailboxes 1 --messages 20000

prints its address and serves until it is ended. A page of 200 messages costs it about one millisecond.
All grants are Microsoft's: the one large provider without quota units to pace by.
"""

import argparse
import socket

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.mail import Mailbox, folders, letters


class Server:
    """Answers for a few mailboxes."""

    def __init__(self, mailboxes: list[Mailbox]) -> None:
        """Take the mailboxes, in the order in which their grants were created."""
        self._mailboxes = mailboxes
        self._by_grant = {mailbox.grant_id: mailbox for mailbox in mailboxes}

    @property
    def app(self) -> Starlette:
        """Return the routes."""
        return Starlette(
            routes=[
                Route("/v3/grants", self._grants),
                Route("/v3/grants/{grant}/folders", self._folders),
                Route("/v3/grants/{grant}/messages", self._messages),
            ]
        )

    async def _grants(self, request: Request) -> Response:
        offset = int(request.query_params.get("offset", "0"))
        limit = int(request.query_params.get("limit", "10"))
        found = self._mailboxes[offset : offset + limit]
        return _answer(orjson.dumps([_grant(mailbox) for mailbox in found]))

    async def _folders(self, request: Request) -> Response:
        return _answer(orjson.dumps(folders(self._by_grant[request.path_params["grant"]])))

    async def _messages(self, request: Request) -> Response:
        mailbox = self._by_grant[request.path_params["grant"]]
        first = int(request.query_params.get("page_token", "0"))
        limit = int(request.query_params.get("limit", "50"))
        following = first + limit
        cursor = following if following < mailbox.messages else None
        return _answer(mailbox.page(first, limit), cursor)


def _answer(data: bytes, next_cursor: int | None = None) -> Response:
    cursor = b',"next_cursor":"%d"' % next_cursor if next_cursor is not None else b""
    # The cursor stands behind the data, as in the real API: whoever looks for it has read all of it.
    body = b"".join((b'{"request_id":"benchmark","data":', data, cursor, b"}"))
    return Response(body, media_type="application/json")


def _grant(mailbox: Mailbox) -> dict[str, object]:
    return {
        "id": mailbox.grant_id,
        "provider": "microsoft",
        "grant_status": "valid",
        "email": f"mailbox-{mailbox.number}@letters.example",
        "scope": ["Mail.Read"],
        "created_at": 1_700_000_000 + mailbox.number,
        "updated_at": 1_700_000_000 + mailbox.number,
    }


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mailboxes", type=int, default=1, help="how many grants")
    parser.add_argument("--messages", type=int, default=20_000, help="in all of them together")
    wanted = parser.parse_args()
    pool = letters()
    mailboxes = [
        Mailbox(number, (wanted.messages + number) // wanted.mailboxes, pool)
        for number in range(wanted.mailboxes)
    ]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(Server(mailboxes).app, log_level="warning", access_log=False, lifespan="off")
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
