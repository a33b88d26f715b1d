"""The accounts as commands meet them: listed before a run of Dagster, and what cannot be read of them."""

import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
from rich.console import Console

from mail_pipeline.cli.terminal import notes
from mail_pipeline.cli.workplace import Workplace
from mail_pipeline.lake import account_queries

if TYPE_CHECKING:
    import dagster as dg


@dataclass(frozen=True, slots=True)
class Unread:
    """How many accounts, and folders, were listed last as records that cannot be read."""

    accounts: int
    folders: int

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self.accounts or self.folders)

    def __str__(self) -> str:
        """Say it to people."""
        counts = {"accounts": self.accounts, "folders": self.folders}
        named = " and ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        return f"{named or 'No accounts'} cannot be read, and what is in them is missing"

    @property
    def next_step(self) -> str:
        """Return what to do about it."""
        if not self:
            return ""
        asked = "FROM dead_letters WHERE object IN ('grant', 'folder') AND NOT stored"
        return f'Report why: `mail-pipeline sql "{asked}"` tells, and shows them as they came.'


def unread_accounts(lake: duckdb.DuckDBPyConnection, grants: Collection[str] | None = None) -> Unread:
    """Count what cannot be read: of these grants, or all there is."""
    found = lake.execute(account_queries.UNREAD_ACCOUNTS).fetchall()
    kinds = [kind for kind, grant_id in found if grants is None or grant_id in grants]
    return Unread(kinds.count("grant"), kinds.count("folder"))


@contextmanager
def accounts_listed(place: Workplace, *, refresh: bool) -> Iterator[tuple[Console, "dg.DagsterInstance"]]:
    """Yield standard error, and the instance, whose partitions are those of the accounts.

    `refresh` lists the accounts before; else those known from before count. The caller has entered `place`.
    Raises as `launch.refresh_accounts` does, and StopRun where the disk is full, in the block too.
    """
    # Dagster takes 2 CPU seconds to import, and most commands do without it.
    import dagster as dg

    from mail_pipeline import launch
    from mail_pipeline.dagster_home import dagster_errors

    with dagster_errors(place.data), ExitStack() as stack:
        # A duplicate, since Dagster redirects standard error while a run goes on.
        console = notes(stack.enter_context(os.fdopen(os.dup(2), "w")))
        instance = stack.enter_context(dg.DagsterInstance.get())
        if refresh:
            console.print("Listing accounts and folders.")
            launch.refresh_accounts(instance)
        else:
            launch.sync_partitions(instance, place.data)
        yield console, instance
