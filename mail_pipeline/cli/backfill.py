"""`mail-pipeline backfill`: fetch mail, without a UI, through the same Dagster assets and history."""

import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import click

from mail_pipeline.cli.fill import Choice, fill
from mail_pipeline.cli.options import DATE_WITH_OFFSET, debug_option, json_option
from mail_pipeline.cli.signals import interruptible
from mail_pipeline.cli.terminal import print_json, results
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.sync.position import BackfillOptions


@click.command("backfill", short_help="Fetch mailboxes to their first message.")
@click.argument("partitions", nargs=-1, metavar="[PARTITION]...")
@click.option("--all", "everything", is_flag=True, help="Every mailbox there is.")
@click.option("--grant", "grants", multiple=True, help="Every mailbox of this grant; may be repeated.")
@click.option(
    "--since",
    type=DATE_WITH_OFFSET,
    help="Go no further back than this, UTC where no offset is given. Default: to the first message. It "
    "holds for this run; for every run, schedules too, set `since` in mail_pipeline.toml.",
)
@click.option("--max-pages", type=click.IntRange(min=1), help="Stop each mailbox after so many pages.")
@click.option("--full-resync", is_flag=True, help="List complete mailboxes again and merge what has changed.")
@click.option("--page-size", type=click.IntRange(1, 200), help="Messages per page. Default: what suits.")
@click.option("--skip-refresh", is_flag=True, help="Do not list accounts and folders first.")
@json_option
@debug_option
def command(
    partitions: tuple[str, ...],
    everything: bool,
    grants: tuple[str, ...],
    since: datetime | None,
    max_pages: int | None,
    full_resync: bool,
    page_size: int | None,
    skip_refresh: bool,
    as_json: bool,
) -> None:
    """Fetch mailboxes back to their first message: --all, those of a --grant, or PARTITIONs by key.

    Goes on where the last run stopped, and leaves alone what is complete. Interrupt it whenever you like.
    `mail-pipeline status` lists the partitions.
    """
    if everything == bool(grants or partitions):
        raise click.UsageError("Say which mailboxes: --all, or else --grant GRANT and PARTITION keys.")
    place = find_workplace()
    place.settings.require_key()
    options = BackfillOptions(
        since=since,
        max_pages=max_pages,
        full_resync=full_resync,
        page_size=page_size,
    )
    with interruptible():
        place.enter()
        filled = fill(place, _chooser(everything, grants, partitions), options, refresh=not skip_refresh)
    if as_json:
        print_json(filled.as_dict())
    else:
        filled.tell(results())
    sys.exit(0 if filled.succeeded else 1)


def _chooser(
    everything: bool, grants: Sequence[str], partitions: Sequence[str]
) -> Callable[[Mapping[str, str]], Choice]:
    def choose(active: Mapping[str, str]) -> Choice:
        if everything:
            return Choice(tuple(active))
        known = set(active.values())
        wanted, asked = set(grants), set(partitions)
        keys = tuple(key for key, grant in active.items() if key in asked or grant in wanted)
        unknown = [*(wanted - known), *(asked - active.keys())]
        named = tuple(_with_hint(name, [*known, *active]) for name in sorted(unknown))
        return Choice(keys, named, frozenset(wanted))

    return choose


def _with_hint(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"{name} (did you mean {near[0]}?)" if near else name
