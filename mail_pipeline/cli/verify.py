"""`mail-pipeline verify`: does the lake hold what the provider does, message by message?"""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import click

from mail_pipeline.cli.options import DATE, debug_option, json_option
from mail_pipeline.cli.signals import interruptible
from mail_pipeline.cli.terminal import notes, print_json, print_table, results
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.lake.connection import require_lake
from mail_pipeline.settings import Settings
from mail_pipeline.sync.reconcile import reconcile
from mail_pipeline.sync.verify import KINDS, Verification, verify


@click.command("verify", short_help="Name every message that differs from the provider's.")
@click.option("--grant", "grants", multiple=True, metavar="G", help="Only this grant; may be repeated.")
@click.option(
    "--since",
    type=DATE,
    help="Look back to this date (UTC). Without it the whole mailbox is compared.",
)
@click.option("--repair", is_flag=True, help="Then mend the grants that differ, as `reconcile` does.")
@json_option
@debug_option
def command(grants: tuple[str, ...], since: datetime | None, repair: bool, as_json: bool) -> None:
    """List ids, flags and folders at the provider, and name every message that differs. Changes no message.

    unknown: the provider lists it, the lake does not have it (yet: its notification may wait to be applied).
    deleted: the provider lists it, the lake has it as deleted. extra: the lake has it; the provider, asked
    for it, says it is not there, or not where it is wanted. changed: it is read, starred or in folders
    otherwise than the lake says.

    Exit code 1 where anything differs in the end, or a mailbox could not be compared.
    """
    with interruptible():
        settings = find_workplace().settings
        require_lake(settings.data)
        found = verify(settings, grants=set(grants) or None, since=since, on_grant=_tell_grant)
        after = _repaired(settings, found, since) if repair else found
    ok = all(each.verified for each in after)
    if as_json:
        said = {"ok": ok, "grants": [_as_dict(each) for each in found]}
        print_json({**said, "repaired": [_as_dict(each) for each in after]} if repair else said)
    else:
        _print(found)
        if repair and any(each.differences for each in found):
            results().print("After the repair:")
            _print(after)
    sys.exit(0 if ok else 1)


def _repaired(
    settings: Settings, found: Sequence[Verification], since: datetime | None
) -> list[Verification]:
    """Mend the grants that differ, no further back than each was compared, and compare them once more."""
    dates: dict[datetime | None, set[str]] = {}
    for each in found:
        if each.differences:
            dates.setdefault(each.since, set()).add(each.grant_id)
    for date, grants in dates.items():
        notes().print(f"Repairing {len(grants):,} of {len(found):,} grants.")
        reconcile(settings, grants=grants, since=date)
    differing = set().union(*dates.values())
    again = verify(settings, grants=differing, since=since, on_grant=_tell_grant) if differing else []
    return [*again, *(each for each in found if each.grant_id not in differing)]


def _tell_grant(each: Verification) -> None:
    notes().print(f"{each.grant_id}: {'done' if each.error is None else each.error}")


def _print(found: Sequence[Verification]) -> None:
    rows = [
        (
            each.grant_id,
            each.provider,
            None if each.since is None else f"{each.since:%Y-%m-%d}",
            each.listed,
            *(None if each.listed is None else each.count(kind) for kind in KINDS),
            None if each.error is None else str(each.error),
        )
        for each in found
    ]
    print_table(results(), "", ("grant", "provider", "since", "listed", *KINDS, "problem"), rows)
    differing = [difference for each in found for difference in each.differences]
    if differing:
        print_table(
            results(),
            "",
            ("grant", "kind", "message"),
            [(each.grant_id, each.kind, each.message_id) for each in differing],
        )


def _as_dict(each: Verification) -> dict[str, object]:
    return {
        "grant_id": each.grant_id,
        "provider": each.provider,
        "since": each.since,
        "listed": each.listed,
        "error": None if each.error is None else str(each.error),
        "differences": [asdict(difference) for difference in each.differences],
    }
