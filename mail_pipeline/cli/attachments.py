"""`mail-pipeline attachments`: the bytes of attachments, for those who want them."""

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import click

from mail_pipeline.cli.attachment_bars import AttachmentBars
from mail_pipeline.cli.options import DATE, debug_option, json_option
from mail_pipeline.cli.signals import interruptible
from mail_pipeline.cli.terminal import explained, notes, print_json, print_table, results, sized
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.lake import attachment_queries as queries
from mail_pipeline.lake.connection import connect, records, require_lake
from mail_pipeline.sync.attachments import LARGEST, AttachmentOptions, AttachmentProgress, fetch_attachments

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]I?)?B?", re.IGNORECASE | re.ASCII)
_LARGEST_SIZE = 2**63 - 1
_COUNTS = ("wanted", "stored", "skipped", "gone", "failed", "left_out", "bytes")


class _Size(click.ParamType[int]):
    """A number of bytes, such as 25MB or 512KiB."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no size: expected one such as 25MB, 512KiB or 1000000", param, ctx)
        return min(int(float(found[1]) * _UNITS[(found[2] or "").upper()]), _LARGEST_SIZE)


@click.group("attachments", short_help="Fetch the bytes of attachments; off unless asked for.")
def command() -> None:
    """Fetch the bytes of attachments, and see what became of them. Nothing fetches any unless told to.

    They go into the data folder, or where MAIL_PIPELINE_ATTACHMENTS says, each under the SHA-256 of what is
    in it.
    """


@command.command("fetch", short_help="Fetch those that are not there yet.")
@click.option("--grant", "grants", multiple=True, metavar="G", help="Only of this grant; may be repeated.")
@click.option(
    "--since",
    type=DATE,
    help="Only of messages received since (UTC).",
)
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="TYPE",
    help="Only of this media type, such as application/pdf or 'image/*'; may be repeated.",
)
@click.option(
    "--inline/--no-inline", default=None, help="Only those shown inside bodies, or only the others."
)
@click.option(
    "--max-size",
    type=_Size(),
    default=LARGEST,
    show_default="50MB",
    help="Skip what is larger; a larger size later fetches it.",
)
@click.option("--total-size", type=_Size(), help="Stop after about so much; the next fetch goes on.")
@click.option("--retry-gone", is_flag=True, help="Ask once more for what was not found.")
@json_option
@debug_option
def fetch(
    grants: tuple[str, ...],
    since: datetime | None,
    types: tuple[str, ...],
    inline: bool | None,
    max_size: int,
    total_size: int | None,
    retry_gone: bool,
    as_json: bool,
) -> None:
    """Fetch the attachments of stored messages, the newest first, and leave alone what is there.

    Interrupt it whenever you like: what is stored stays. What cannot be had is noted with the reason in the
    table attachment_files. At Google each costs 5 units of the mailbox's quota.
    """
    options = AttachmentOptions(
        grants=grants,
        since=since,
        types=types,
        inline=inline,
        max_size=max_size,
        total_size=total_size,
        retry_gone=retry_gone,
    )
    ended = []
    with interruptible():
        settings = find_workplace().settings
        settings.require_key()
        require_lake(settings.data)
        with AttachmentBars(notes()) as bars:
            for grant in fetch_attachments(settings, options=options, on_progress=bars.show):
                ended.append(grant)
                bars.end(grant)
    succeeded = all(each.succeeded for each in ended)
    if as_json:
        print_json({"ok": succeeded, **_sums(ended), "grants": [asdict(each) for each in ended]})
    else:
        _tell(ended)
    sys.exit(0 if succeeded else 1)


@command.command("status", short_help="What is there, and what is not.")
@json_option
@debug_option
def status(as_json: bool) -> None:
    """Count each grant's attachments: stored, skipped, gone, failed, and not asked for yet."""
    with connect(find_workplace().for_reading().data) as lake:
        grants = records(lake.execute(queries.ATTACHMENT_COUNTS))
        [(files, size)] = lake.execute(queries.STORED_FILES).fetchall()
    if as_json:
        print_json({"ok": True, "files": files, "bytes": size, "grants": grants})
        return
    columns = [name.replace("_", " ") for name in (grants[0] if grants else ())]
    print_table(results(), "", columns, [list(each.values()) for each in grants])
    results().print(f"Files: {files:,}, {sized(size)}; the same bytes count once.")


def _sums(grants: Sequence[AttachmentProgress]) -> dict[str, int]:
    return {name: sum(getattr(each, name) for each in grants) for name in _COUNTS}


def _tell(grants: Sequence[AttachmentProgress]) -> None:
    for each in grants:
        if each.reason:
            results().print(f"{each.grant_id} is {each.state}: {explained(each.reason, each.next_step)}")
    sums = _sums(grants)
    parts = [f"{sums[name]:,} {name}" for name in ("skipped", "gone", "failed") if sums[name]]
    results().print(
        ", ".join([f"Stored: {sums['stored']:,} attachments, {sized(sums['bytes'])}", *parts]) + "."
    )
    if sums["failed"]:
        results().print(
            "Why, the column reason of the table attachment_files says. The next fetch tries again."
        )
    if sums["left_out"]:
        results().print(f"{sums['left_out']:,} were left out, since --total-size was reached.")
