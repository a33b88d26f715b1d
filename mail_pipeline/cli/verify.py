"""`mail-pipeline verify`: does the lake hold what the provider does, message by message?"""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import click

from mail_pipeline.cli.options import debug_option, json_option
from mail_pipeline.cli.signals import interruptible
from mail_pipeline.cli.terminal import notes, print_json, print_table, results
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.sync.reconcile import reconcile
from mail_pipeline.sync.verify import KINDS, Verification, verify


@click.command("verify", short_help="Name every message that differs from the provider's.")
@click.option("--grant", "grants", multiple=True, metavar="G", help="Only this grant; may be repeated.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="Look back to this date (UTC). Without it the whole mailbox is compared.",
)
@click.option("--repair", is_flag=True, help="Then mend the grants that differ, as `reconcile` does.")
@json_option
@debug_option
def command(grants: tuple[str, ...], since: datetime | None, repair: bool, as_json: bool) -> None:
    """List ids, flags and folders at the provider, and name what differs in the lake. Changes nothing.

    unknown: the provider lists it, the lake does not have it. deleted: the provider lists it, the lake has it
    as deleted. extra: the lake has it, and the provider, asked for it, says it is not there. changed: it is
    read, starred or in folders otherwise than the lake says.

    Exit code 1 where anything differs that was not mended, or a mailbox could not be compared.
    """
    bound = None if since is None else since.replace(tzinfo=UTC)
    with interruptible():
        settings = find_workplace().settings
        found = verify(settings, grants=set(grants) or None, since=bound, on_grant=_tell_grant)
        differing = {each.grant_id for each in found if each.differences}
        repaired = None
        if repair:
            repaired = not differing or reconcile(settings, grants=differing, since=bound).succeeded
    compared = all(each.error is None for each in found)
    ok = compared and (repaired if repaired is not None else not differing)
    if as_json:
        print_json({"ok": ok, "repaired": repaired, "grants": [_as_dict(each) for each in found]})
    else:
        _print(found)
        if repaired is not None and differing:
            results().print("Repaired." if repaired else "Not all of it could be repaired: run it again.")
    sys.exit(0 if ok else 1)


def _tell_grant(each: Verification) -> None:
    notes().print(f"{each.grant_id}: {'done' if each.error is None else each.error}")


def _print(found: Sequence[Verification]) -> None:
    rows = [
        (
            each.grant_id,
            each.provider,
            each.listed,
            *(None if each.listed is None else each.count(kind) for kind in KINDS),
            None if each.error is None else str(each.error),
        )
        for each in found
    ]
    print_table(results(), "", ("grant", "provider", "listed", *KINDS, "problem"), rows)
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
        "listed": each.listed,
        "error": None if each.error is None else str(each.error),
        "differences": [asdict(difference) for difference in each.differences],
    }
