"""Sweeps of many grants: which, how far back, by which lists, and several at once."""

import logging
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from mail_pipeline.errors import SkipMailbox, StopRun, traced
from mail_pipeline.lake import queries
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas import NylasClient
from mail_pipeline.settings import Settings
from mail_pipeline.subset import read_subsets
from mail_pipeline.sync.accounts import refresh_folders
from mail_pipeline.sync.client import client_for
from mail_pipeline.sync.leases import Leases
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.scopes import Scopes
from mail_pipeline.sync.sweep import Swept, sweep

_log = logging.getLogger(__name__)

_Outcome = TypeVar("_Outcome")
_WITHOUT_MAIL = frozenset({"virtual-calendar", "zoom"})
_MARGIN = 3600
"""Seconds before a gap that are listed whole as well: clocks differ, and mail is dated before it is shown."""
_PLAIN_LIST_SECONDS = 80 * 86_400
"""The list without a folder shows 90 days of IMAP mail (reference: nylas-api 3.6); short of its edge."""


@dataclass(frozen=True, slots=True)
class SweepJob:
    """One grant to be swept."""

    grant: dict[str, Any]
    since: int | None
    """Unix seconds; None: to the first message."""
    whole_since: int | None
    """From when on mail is listed with everything in it; None: from never on."""

    @property
    def grant_id(self) -> str:
        """Return the grant's id."""
        return str(self.grant["id"])

    @property
    def provider(self) -> str:
        """Return the grant's provider."""
        return str(self.grant["provider"])

    @property
    def expired(self) -> bool:
        """Tell whether its owner has to connect it again before anything can be listed."""
        return bool(self.grant["status"] != "valid")

    def require_connected(self) -> None:
        """Raise SkipMailbox where it has expired."""
        if self.expired:
            raise SkipMailbox(
                f"Grant {self.grant_id} has expired, so nothing of it can be listed",
                next_step="Its owner has to connect it again.",
            )

    def stopped_by(self, error: Exception) -> SkipMailbox:
        """Log an error that nobody expected, and return it as one of this grant alone."""
        _log.error("Grant %s stopped by an unexpected %s", self.grant_id, traced(error))
        return SkipMailbox(
            f"An unexpected {type(error).__name__} stopped the sweep",
            next_step="The log has its traceback; please report it.",
        )

    @property
    def by_folder(self) -> bool:
        """Tell whether old mail is only reached folder by folder, and is wanted."""
        reaches_back = self.since is None or self.since < time.time() - _PLAIN_LIST_SECONDS
        return reaches_back and bool(self.grant["per_folder"])


@dataclass(frozen=True, slots=True)
class Sweeps:
    """What sweeps of several grants share; made by `open_sweeps`."""

    settings: Settings
    lake: Lake
    leases: Leases
    client: NylasClient
    scopes: Scopes

    def jobs(
        self,
        *,
        grants: Collection[str] | None = None,
        providers: Collection[str] | None = None,
        since: int | None = None,
    ) -> Iterator[SweepJob]:
        """Yield a job for each grant with mail, or those of these grants and providers; expired ones too.

        Raises StopRun for a grant that is not known, or gone.
        """
        rows = self.lake.table(queries.KNOWN_GRANTS).to_pylist()
        known = {row["id"]: row for row in rows if not row["gone"]}
        for grant_id in grants or ():
            if grant_id not in known:
                raise StopRun(
                    f"There is no grant {grant_id}",
                    next_step='`mail-pipeline sql "SELECT id, provider FROM grants"` lists them.',
                )
        gaps = self.lake.table(queries.OPEN_GAPS).to_pylist()
        for grant_id, row in known.items():
            if (grants is not None and grant_id not in grants) or row["provider"] in _WITHOUT_MAIL:
                continue
            if providers is not None and row["provider"] not in providers:
                continue
            began = [gap["began_at"] for gap in gaps if gap["grant_id"] in {None, grant_id}]
            whole_since = min(began) - _MARGIN if began else None
            yield SweepJob(row, since, whole_since)

    def work(
        self,
        jobs: Collection[SweepJob],
        do: Callable[[SweepJob], _Outcome],
        on_outcome: Callable[[_Outcome], None] | None = None,
    ) -> list[_Outcome]:
        """Do something with each job, several at once, and return what comes of it in the order of ending.

        `on_outcome` is called from this thread. Raises what `do` raises; whatever is under way then ends too.
        """
        if by_folder := {job.grant_id for job in jobs if job.by_folder and not job.expired}:
            # A folder that is gone since would answer 404, and a new one be left out.
            refresh_folders(self.settings, only=by_folder, client=self.client)
        outcomes = []
        with ThreadPoolExecutor(self.settings.workers, thread_name_prefix="sweep") as pool:
            try:
                for future in as_completed([pool.submit(do, job) for job in jobs]):
                    outcomes.append(future.result())
                    (on_outcome or (lambda _: None))(outcomes[-1])
            except BaseException:
                # Else an interrupt would wait until every sweep has come to its end.
                pool.shutdown(wait=False, cancel_futures=True)
                self.client.cancel()
                raise
        return outcomes

    def list_mail(self, job: SweepJob) -> tuple[Swept, list[Observation]]:
        """List what is wanted of a grant's mail, as `sweep` does. Raises what the API raises."""
        scope = self.scopes.of(job.grant_id, job.provider)
        if not scope.subset.wants("messages"):
            # Nothing is wanted, so nothing can be missing: a gap need not wait for this grant.
            return Swept.nothing(job.grant_id, self.client.provider_time()), []
        folders = list(self.lake.column(queries.GRANT_FOLDERS, [job.grant_id])) if job.by_folder else []
        folders = [folder for folder in folders if scope.wants_folder(folder)]
        with self.client.grant(job.grant_id, job.provider) as grant:
            return sweep(
                grant, job.grant_id, folders, since=job.since, whole_since=job.whole_since, scope=scope
            )


@contextmanager
def open_sweeps(settings: Settings) -> Iterator[Sweeps]:
    """Open all that sweeps need. Raises StopRun for what stops everything, as no key or a wrong one."""
    settings.require_key()
    with ExitStack() as stack:
        lake = stack.enter_context(Lake(settings.data))
        leases = Leases(settings.data)
        stack.callback(leases.close)
        client = stack.enter_context(client_for(settings, None))
        yield Sweeps(settings, lake, leases, client, Scopes(lake, read_subsets(settings)))
