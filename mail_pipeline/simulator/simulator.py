"""A Nylas v3 stand-in, put together."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from mail_pipeline.simulator.app import Wiring, create_app
from mail_pipeline.simulator.attachments import Attachments
from mail_pipeline.simulator.clock import SimulatedClock
from mail_pipeline.simulator.cursors import Cursors
from mail_pipeline.simulator.disorder import Disorder
from mail_pipeline.simulator.doors import doors
from mail_pipeline.simulator.faults import Faults
from mail_pipeline.simulator.fleet import Fleet
from mail_pipeline.simulator.folders import Folder
from mail_pipeline.simulator.limits import Latency, Limits, Meter
from mail_pipeline.simulator.log import LoggedRequest, RequestLog
from mail_pipeline.simulator.postman import Notification, Postman
from mail_pipeline.simulator.provider import Provider
from mail_pipeline.simulator.server import serve
from mail_pipeline.simulator.service import Service
from mail_pipeline.simulator.truths import truth
from mail_pipeline.simulator.webhooks import Webhooks
from mail_pipeline.simulator.world import World

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
        webhook_secret: str | None = None,
        disorder: Disorder | None = None,
        clock: SimulatedClock | None = None,
        live: bool = False,
        changing_attachment_ids: bool = False,
    ) -> None:
        """Take the fleet and how to serve it.

        faults: what goes wrong; nothing where None.
        limits: which rate limits are enforced; the documented ones where None, `Limits.off()` for none.
        latency: how long answers take; no time where None.
        now: unix seconds that the IMAP family's 90 days count back from; the fleet's own where None.
        clock_skew: seconds by which the provider's clock differs from this machine's.
        irregular: share of message pages that are short, empty with a cursor, or before an empty last one.
        cursor_lifetime: seconds after which a cursor is refused, None for never.
        compress: answer in gzip where the client accepts it.
        log_file: gets every request as a line of JSON.
        webhook_secret: what new webhooks sign with; follows from the fleet's seed where None.
        disorder: what deliveries of notifications suffer; nothing where None.
        clock: what tells the time; one of its own, in real time and with `clock_skew`, where None.
        live: notifications are sent in the background while the simulator is served.
        changing_attachment_ids: Google's change whenever their message is read, and older ones are not found.

        Raises ValueError for a clock_skew beside a clock.
        """
        if clock is not None and clock_skew:
            raise ValueError("clock_skew belongs to the clock that is given")
        self.fleet = fleet
        self.clock = clock or SimulatedClock(skew=clock_skew)
        self._world = World(fleet, self.clock, now=now)
        lock = self._world.lock
        self.webhooks = Webhooks(self.clock, lock, seed=fleet.seed, secret=webhook_secret)
        self.postman = Postman(self.webhooks, self.clock, lock, seed=fleet.seed, disorder=disorder)
        self.provider = Provider(self._world, self.postman.post)
        self._live = live
        self._log = RequestLog(log_file)
        cursors = Cursors(f"{fleet.seed}", cursor_lifetime)
        attachments = Attachments(self._world, changing_ids=changing_attachment_ids)
        self.app: Starlette = create_app(
            Wiring(
                service=Service(self._world, cursors, irregular=irregular, shown=attachments.shown),
                meter=Meter(limits or Limits()),
                faults=faults or Faults(),
                latency=latency or Latency(),
                log=self._log,
                webhooks=self.webhooks,
                attachments=attachments,
                doors=doors(self._world, self.provider, self.postman, self._log),
                api_key=api_key,
                compress=compress,
            )
        )

    @contextmanager
    def serve(self, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
        """Serve in a thread for as long as the block lasts; gives the address to put into NYLAS_API_URI.

        Port 0 takes a free one. Raises OSError where the port is taken.
        """
        with serve(self.app, host, port) as url:
            if not self._live:
                yield url
                return
            self.postman.start()
            try:
                yield url
            finally:
                self.postman.stop()

    @property
    def requests(self) -> list[LoggedRequest]:
        """Return all requests so far, in the order of answering."""
        return self._log.entries()

    @property
    def notifications(self) -> list[Notification]:
        """Return what was posted to webhooks, with the outcome of each try, in the order of the changes."""
        return self.postman.notifications()

    def truth(self, grant_id: str, stream: str = "messages") -> Iterator[dict[str, Any]]:
        """Yield every record of a grant as it truly is now: messages, contacts, calendars, events or threads.

        Messages have all folders, the body or none, and come newest first. Events are those that anybody may
        see, each with the calendar it is in. Raises KeyError for an unknown grant, ValueError for a stream.
        """
        return truth(self._world, grant_id, stream)

    def true_bytes(self, grant_id: str, message_id: str, position: int) -> bytes:
        """Return the bytes of an attachment as they truly are; raises KeyError, or IndexError, for none."""
        with self._world.lock:
            mailbox = self._world.find(grant_id)
            number = None if mailbox is None else mailbox.find(message_id)
            if mailbox is None or number is None:
                raise KeyError(message_id)
            return mailbox.content(number, mailbox.message(number)["attachments"][position])

    def true_folders(self, grant_id: str) -> list[Folder]:
        """Return the folders of a grant as they truly are now; raises KeyError for an unknown grant."""
        with self._world.lock:
            mailbox = self._world.find(grant_id)
            if mailbox is None:
                raise KeyError(grant_id)
            return mailbox.folders

    def vanish(self, grant_id: str, folder_id: str | None = None) -> None:
        """Leave a grant, or one of its folders or calendars, out of every answer, as if it were deleted."""
        self._world.vanished.add(grant_id if folder_id is None else (grant_id, folder_id))

    def restore(self, grant_id: str, folder_id: str | None = None) -> None:
        """Bring back what `vanish` took away."""
        self._world.vanished.discard(grant_id if folder_id is None else (grant_id, folder_id))
