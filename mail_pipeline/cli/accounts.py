"""What a command that runs Dagster in its own process begins with: the instance, and the accounts listed."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from mail_pipeline.cli.terminal import notes
from mail_pipeline.cli.workplace import Workplace

if TYPE_CHECKING:
    import dagster as dg


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
