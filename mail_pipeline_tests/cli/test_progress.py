import io
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console

from mail_pipeline.cli.progress import Bars, Lines, display, standing
from mail_pipeline.sync.checkpoints import Checkpoint
from mail_pipeline.sync.progress import MailboxProgress, Slice, progress

KEYS = ["0123456789abcdef/INBOX", "0123456789abcdef/Sent"]


def at(key: str = KEYS[0], **changes: object) -> MailboxProgress:
    """A mailbox ten seconds into its run, a third of the way."""
    mailbox = Slice(partition_key=key, grant_id=key.partition("/")[0], provider="imap", reported=300)
    checkpoint = Checkpoint(partition_key=key, grant_id=mailbox.grant_id, state="listing", ids_seen=100)
    return replace(progress(mailbox, checkpoint, started_at=1e9, now=1e9 + 10), **changes)  # type: ignore[arg-type]


def plain() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=200), out


def terminal() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=200, force_terminal=True, color_system=None), out


def test_a_mailbox_at_work_shows_counts_rate_and_time_left():
    assert standing(at()) == "listing, 100 of 300 messages, 10/s, 20 s left"


def test_a_mailbox_held_by_the_quota_says_for_how_long():
    held = at(held_until=at().updated_at + timedelta(seconds=42))

    assert standing(held).endswith("waiting 42 s for the provider's quota")


def test_where_the_provider_does_not_say_how_much_there_is_nothing_is_promised():
    assert standing(at(reported=None, eta_seconds=None, rate=0.0)) == "listing, 100 messages"


def test_a_mailbox_that_stopped_says_why_and_what_to_do():
    failed = at(
        state="failed", reason="Its owner must connect it again", next_step="Do that", eta_seconds=None
    )

    assert standing(failed).endswith("10/s: Its owner must connect it again. Do that.")


@pytest.mark.parametrize(("console", "kind"), [(terminal()[0], Bars), (plain()[0], Lines)])
def test_there_are_bars_on_a_terminal_and_lines_elsewhere(console: Console, kind: type):
    assert isinstance(display(console, KEYS), kind)


def test_lines_tell_each_end_once_and_close_with_the_whole():
    console, out = plain()

    with Lines(console, KEYS) as shown:
        shown.take(at(), ended=False)
        shown.take(at(state="complete", ids_seen=300, rate=30.0, eta_seconds=None), ended=True)
        shown.take(at(state="complete", ids_seen=300, rate=30.0, eta_seconds=None), ended=True)
        shown.take(at(KEYS[1], state="paused", reason="No answer", eta_seconds=None), ended=True)

    first, second, whole = out.getvalue().splitlines()
    assert first == f"{KEYS[0]} (imap): complete, 300 of 300 messages, 30/s"
    assert second.startswith(f"{KEYS[1]} (imap): paused")
    assert re.fullmatch(r"2 of 2 mailboxes, 400 messages listed, [\d,]+/s, 0 s, 1 paused or failed", whole)


def test_bars_show_who_is_at_work_and_leave_one_line_and_the_failures():
    console, out = terminal()

    with Bars(console, KEYS) as shown:
        shown.take(at(), ended=False)
        shown.take(at(KEYS[1]), ended=False)
        console.file.flush()
        shown.take(at(state="complete", eta_seconds=None), ended=True)
        shown.take(at(KEYS[1], state="failed", reason="Gone", eta_seconds=None), ended=True)
    drawn = out.getvalue()

    left = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip() for line in drawn.splitlines()]
    assert f"{KEYS[1]} (imap): failed, 100 of 300 messages, 10/s: Gone." in left
    assert left[-1].startswith("2 of 2 mailboxes, 200 messages listed")


def test_a_bar_names_the_folder_and_its_text_the_state():
    console, out = terminal()

    with Bars(console, KEYS) as shown:
        shown.take(at(), ended=False)

    assert "imap 01234567/INBOX" in out.getvalue()
    assert "listing, 100 of 300 messages, 10/s, 20 s left" in out.getvalue()
