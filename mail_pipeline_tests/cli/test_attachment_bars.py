"""What is drawn while attachments come: bars on a terminal, plain lines elsewhere."""

import io
from dataclasses import replace

from rich.console import Console

from mail_pipeline.cli.attachment_bars import AttachmentBars
from mail_pipeline.sync.attachments import AttachmentProgress

BEGUN = AttachmentProgress(
    grant_id="0123456789",
    provider="google",
    state="fetching",
    wanted=40,
    told_bytes=80_000_000,
    stored=9,
    skipped=2,
    gone=1,
    failed=0,
    left_out=0,
    bytes=12_500_000,
    seconds=5.0,
)


def drawn(*, terminal: bool) -> str:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=120, highlight=False)
    with AttachmentBars(console) as bars:
        bars.show(BEGUN)
        bars.show(replace(BEGUN, stored=20))
        bars.end(replace(BEGUN, state="complete", stored=37))
        bars.end(replace(BEGUN, grant_id="idle", state="complete", wanted=0))
    return screen.getvalue()


def test_plain_lines_hold_the_last_word_of_each_grant_that_had_something_to_do():
    assert drawn(terminal=False) == "google 01234567: complete, 40 of 40, 12.5 MB stored, 2 skipped, 1 gone\n"


def test_a_terminal_shows_a_bar_and_then_the_same_line():
    shown = drawn(terminal=True)
    assert "━" in shown
    assert "complete, 40 of 40, 12.5 MB stored, 2 skipped, 1 gone" in shown
