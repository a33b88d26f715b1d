"""`mail-pipeline search`: messages that hold the words, the best first."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click
import duckdb
from rich.console import Console
from rich.text import Text

from mail_pipeline.asking import connect
from mail_pipeline.cli.options import DATE, debug_option, json_option
from mail_pipeline.cli.terminal import notes, print_json, results
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.errors import StopRun
from mail_pipeline.lake.connection import records
from mail_pipeline.search import queries
from mail_pipeline.search.index import Snippet, index_path, reading
from mail_pipeline.search.refresh import Refreshed, is_behind, refresh

_MARKS = ("\ue000", "\ue001")
"""Around a hit: characters of the private use area, which stand in hardly any mail."""


@click.command("search", short_help="Find messages by words in subject and body.")
@click.argument("words", nargs=-1, required=True)
@click.option("--grant", metavar="G", help="Only mail of this grant.")
@click.option("--from", "sender", metavar="A", help="Only from senders whose name or address holds this.")
@click.option(
    "--folder", metavar="F", help="Only mail in this folder: its name, role (inbox, sent, …) or id."
)
@click.option("--since", type=DATE, help="Not older than this date (UTC).")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Messages to show."
)
@json_option
@debug_option
def command(
    words: tuple[str, ...],
    grant: str | None,
    sender: str | None,
    folder: str | None,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show the messages that hold all WORDS in subject or body, the best first.

    Case and accents do not count. `"two words"` in quotes stand side by side, and `inv*` is the beginning of
    a word; quote them for the shell as well. The search index is brought up to the tables first.

    \b
    mail-pipeline search quarterly report
    mail-pipeline search '"quarterly report" inv*' --since 2025-01-01 --folder inbox
    """
    # Arguments that are no UTF-8 come with halves of characters in them.
    wanted = " ".join(words).encode("utf-8", "replace").decode()
    data = find_workplace().for_reading().settings.data
    refreshed = _bring_up_to_date(data)
    chosen = {
        "words": wanted,
        "grant": grant,
        "sender": sender,
        "folder": folder,
        "since": since,
        "best": limit,
    }
    found, terms = _ask(data, chosen)
    keys = [(row["grant_id"], row["id"]) for row in found]
    # After DuckDB has let go of the file: two SQLites of one process undo each other's locks.
    with reading(data) as index:
        snippets = index.snippets(terms, keys, _MARKS)
    hits = [{**row, "snippet": snippets.get(key)} for row, key in zip(found, keys, strict=True)]
    if as_json:
        counts = {"indexed": refreshed.indexed, "removed": refreshed.removed} if refreshed else None
        print_json(
            {"ok": True, "data": data, "refreshed": counts, "messages": [_as_dict(hit) for hit in hits]}
        )
        return
    console = results()
    for hit in hits:
        _print_hit(console, hit)
    if not hits:
        console.print("No message holds these words.")


def _bring_up_to_date(data: Path) -> Refreshed | None:
    # Also says so where there is no lake.
    if not is_behind(data):
        return None
    screen = notes()
    screen.print("The search index is behind the tables; bringing it up to them.")
    report = refresh(
        data, lambda so_far: screen.print(f"{so_far.indexed:,} of {so_far.to_index:,} messages indexed")
    )
    screen.print(f"{report.documents:,} messages in the index.")
    return report


def _ask(data: Path, chosen: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Return the messages found, as rows by column, and the words as the index takes them."""
    with connect(data) as connection:
        [(terms,)] = connection.execute(queries.TERMS, [chosen["words"]]).fetchall()
        if not terms:
            raise click.UsageError(
                'There is no word to look for: expected words, "a phrase" or a beginn* of one.'
            )
        try:
            cursor = connection.execute(queries.FOUND, chosen)
        except duckdb.Error:
            raise StopRun(
                "The search index cannot be read, or the lake",
                next_step=f"Remove {index_path(data).parent}, from which nothing is lost, and search again; "
                "`mail-pipeline doctor` looks at the lake.",
            ) from None
        return records(cursor), terms


def _as_dict(hit: dict[str, Any]) -> dict[str, Any]:
    snippet = hit["snippet"]
    return {**hit, "snippet": None if snippet is None else _plain(snippet.body)}


def _plain(text: str) -> str:
    for mark in _MARKS:
        text = text.replace(mark, "")
    return text


def _print_hit(console: Console, hit: dict[str, Any]) -> None:
    snippet = hit["snippet"] or Snippet(hit["subject"] or "", "")
    name, address = hit["from_name"], hit["from_address"]
    sender = f"{name} <{address}>" if name and address else name or address or ""
    date = hit["date"].strftime("%Y-%m-%d %H:%M") if hit["date"] else ""
    console.print(Text(_harmless(f"{date}  {sender}  "), "dim") + _marked(snippet.subject))
    if snippet.body:
        console.print(Text("    ") + _marked(snippet.body), soft_wrap=True)


def _marked(text: str) -> Text:
    """Return a text with the hits in it shown in bold."""
    shown = Text()
    for number, part in enumerate(text.split(_MARKS[0])):
        hit, _, rest = part.partition(_MARKS[1]) if number else ("", "", part)
        shown.append(_harmless(hit), "bold").append(_harmless(rest))
    return shown


def _harmless(text: str) -> str:
    """Return a text without the characters that would control the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
