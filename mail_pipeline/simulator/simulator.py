"""A Nylas v3 stand-in, put together."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from mail_pipeline.simulator.app import Wiring, create_app
from mail_pipeline.simulator.cursors import Cursors
from mail_pipeline.simulator.faults import Faults
from mail_pipeline.simulator.fleet import Fleet
from mail_pipeline.simulator.limits import Latency, Limits, Meter
from mail_pipeline.simulator.log import LoggedRequest, RequestLog
from mail_pipeline.simulator.mailboxes import truth
from mail_pipeline.simulator.server import serve
from mail_pipeline.simulator.service import Service

API_KEY = "nyk_simulator"
"""The key a simulator takes unless told another."""


class Simulator:
    """Serves a fleet over HTTP as Nylas would, and knows the truth about it."""

    def __init__(
        self,
        fleet: Fleet,
        *,
        faults: Faults | None = None,
        limits: Limits | None = None,
        latency: Latency | None = None,
        api_key: str = API_KEY,
        now: int | None = None,
        clock_skew: float = 0.0,
        irregular: float = 0.1,
        cursor_lifetime: float | None = None,
        compress: bool = False,
        log_file: Path | None = None,
    ) -> None:
        """Take the fleet and how to serve it.

        faults: what goes wrong; nothing where None.
        limits: which rate limits are enforced; the documented ones where None, `Limits.off()` for none.
        latency: how long answers take; no time where None.
        now: unix seconds that the IMAP family's 90 days count back from; the fleet's own where None.
        clock_skew: seconds by which the Date header differs from this machine's clock.
        irregular: share of message pages that are short, empty with a cursor, or before an empty last one.
        cursor_lifetime: seconds after which a cursor is refused, None for never.
        compress: answer in gzip where the client accepts it.
        log_file: gets every request as a line of JSON.
        """
        self.fleet = fleet
        self._service = Service(
            fleet,
            Cursors(f"{fleet.seed}", cursor_lifetime),
            now=fleet.now if now is None else now,
            irregular=irregular,
        )
        self._log = RequestLog(log_file)
        self.app: Starlette = create_app(
            Wiring(
                service=self._service,
                meter=Meter(limits or Limits()),
                faults=faults or Faults(),
                latency=latency or Latency(),
                log=self._log,
                api_key=api_key,
                clock_skew=clock_skew,
                compress=compress,
            )
        )

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> AbstractContextManager[str]:
        """Serve in a thread for as long as the block lasts; gives the address to put into NYLAS_API_URI.

        Port 0 takes a free one. Raises OSError where the port is taken.
        """
        return serve(self.app, host, port)

    @property
    def requests(self) -> list[LoggedRequest]:
        """Return all requests so far, in the order of answering."""
        return self._log.entries()

    def truth(self, grant_id: str) -> Iterator[dict[str, Any]]:
        """Yield every message of a grant as it truly is: all folders, the body or none; newest first.

        Raises KeyError for an unknown grant.
        """
        mailbox = self.fleet.find(grant_id)
        if mailbox is None:
            raise KeyError(grant_id)
        return truth(mailbox)

    def vanish(self, grant_id: str, folder_id: str | None = None) -> None:
        """Leave a grant, or one of its folders, out of every answer, as if it had been deleted."""
        self._service.vanished.add(grant_id if folder_id is None else (grant_id, folder_id))

    def restore(self, grant_id: str, folder_id: str | None = None) -> None:
        """Bring back what `vanish` took away."""
        self._service.vanished.discard(grant_id if folder_id is None else (grant_id, folder_id))
