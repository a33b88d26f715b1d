"""Which attachments are fetched, and what is said of the others."""

import mailbox
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from mail_pipeline.errors import StopRun
from mail_pipeline.lake.connection import attach, open_duckdb
from mail_pipeline.simulator import Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.attachments.conftest import Serve
from mail_pipeline_tests.attachments.files import CONTENT_ADDRESS, Filed

CAP = 200_000


def told(filed: Filed, condition: str, *parameters: Any) -> set[tuple[str, str, int]]:
    """Return the attachments of which the lake says this."""
    statement = f"""
        SELECT a.grant_id, message_id, position FROM attachments a
        JOIN messages m ON m.grant_id = a.grant_id AND m.id = a.message_id WHERE {condition}
    """
    return set(filed.ask(statement, list(parameters)))


def test_what_is_too_large_is_not_asked_for_until_more_is_allowed(serve: Serve) -> None:
    filed = serve()
    large = told(filed, "size > ?", CAP)
    assert 0 < len(large) < len(filed.truth())

    ended = filed.fetch(max_size=CAP)

    assert {key for key, row in filed.rows().items() if row["state"] == "skipped"} == large
    assert {row["reason"] for key, row in filed.rows().items() if key in large} == {
        "It has more than the 200,000 bytes allowed"
    }
    assert set(filed.digests()) == set(filed.truth()) - large
    assert all(each.succeeded for each in ended.values())
    assert len(filed.downloads()) == len(filed.truth()) - len(large)
    asked = len(filed.simulator.requests)
    filed.fetch(max_size=CAP)
    assert filed.downloads(asked) == []
    filed.fetch()
    assert filed.digests() == filed.truth()


def test_what_is_larger_than_it_was_said_to_be_is_broken_off(serve: Serve) -> None:
    filed = serve()
    with open_duckdb() as lake:
        attach(lake, filed.data, read_only=False)
        lake.execute("UPDATE attachments SET size = 1")

    filed.fetch(max_size=100)

    assert filed.states() == {"skipped": len(filed.truth())}
    assert len(filed.downloads()) == len(filed.truth())
    assert filed.files() == set()


def test_the_newest_come_first_and_a_total_size_ends_it(serve: Serve) -> None:
    filed = serve()
    imap = filed.grant_id("imap")
    newest_first = [
        (key, size)
        for *key, size in filed.ask(
            """SELECT a.grant_id, message_id, position, a.size FROM attachments a JOIN messages m
            ON m.grant_id = a.grant_id AND m.id = a.message_id WHERE a.grant_id = ?
            ORDER BY date DESC, message_id, position""",
            [imap],
        )
    ]
    fit, total = 0, 0
    while total + newest_first[fit][1] <= 700_000:
        total += newest_first[fit][1]
        fit += 1

    ended = filed.fetch(grants=(imap,), total_size=total)[imap]

    assert {tuple(key) for key, _ in newest_first[:fit]} <= set(filed.digests())
    assert ended.bytes <= total
    assert ended.left_out == ended.wanted - ended.stored > 0
    assert set(filed.rows()) == set(filed.digests())


@pytest.mark.parametrize(
    ("options", "condition"),
    [
        ({"types": ("application/*",)}, "content_type LIKE 'application/%' OR content_type = ''"),
        ({"types": ("IMAGE/jpeg", "text/calendar")}, "regexp_matches(content_type, '^(image|text/cal)')"),
        ({"inline": True}, "is_inline"),
        ({"inline": False}, "NOT is_inline"),
        ({"since": datetime(2026, 1, 1, tzinfo=UTC)}, "date >= '2026-01-01 00:00:00+00'::TIMESTAMPTZ"),
    ],
    ids=str,
)
def test_only_what_is_chosen_is_asked_for(all_kinds: Filed, options: dict[str, Any], condition: str) -> None:
    with open_duckdb() as lake:
        attach(lake, all_kinds.data, read_only=False)
        lake.execute("DELETE FROM attachment_files")
    chosen = told(all_kinds, condition)
    assert 0 < len(chosen) < len(all_kinds.truth())

    all_kinds.fetch(max_size=0, **options)

    assert set(all_kinds.rows()) == chosen


@pytest.fixture(scope="module")
def all_kinds(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A mailbox with every kind of attachment."""
    spec = MailboxSpec("google", messages=260, body_mean=300, user_folders=0, oddity_every=0)
    simulator = Simulator(Fleet.generate(5, [spec]), limits=Limits.off())
    with simulator.serve() as url:
        filed = Filed(simulator, url, tmp_path_factory.mktemp("kinds") / "data")
        filed.fill()
        yield filed
        filed.close()


def test_an_unknown_grant_is_named(serve: Serve) -> None:
    filed = serve()
    with pytest.raises(StopRun, match="There is no grant nobody"):
        filed.fetch(grants=("nobody",))


HOSTILE = (
    "../../../../etc/passwd",
    "/abs/olute",
    "nul\0byte",
    "a" * 300,
    "..",
    "con\nline",
    "",
    "\u202egpj.exe",
)


def letter(number: int, *files: tuple[str, bytes]) -> EmailMessage:
    mail = EmailMessage()
    mail["Message-ID"] = f"<{number}@oak.example>"
    mail["From"] = "Ada <ada@oak.example>"
    mail["Date"] = f"Mon, {number + 1:02d} Jan 2024 10:00:00 +0100"
    mail.set_content("See attached.")
    for name, content in files:
        mail.add_attachment(content, maintype="application", subtype="pdf")
        part = list(mail.iter_attachments())[-1]
        part.replace_header("Content-Disposition", "attachment")
        part.set_param("filename", name.replace("\n", " "), "Content-Disposition", charset="utf-8")
    return mail


def test_no_name_gets_into_a_path_and_the_same_bytes_of_several_mailboxes_are_one_file(
    tmp_path: Path,
) -> None:
    logo = bytes(range(256)) * 20
    paths = []
    for number, name in enumerate(("one", "other")):
        paths.append(tmp_path / f"{name}.mbox")
        box = mailbox.mbox(paths[-1])
        files = [(hostile, f"{name} {hostile!r}".encode()) for hostile in HOSTILE]
        box.add(letter(1, ("logo.png", logo), *files))
        box.add(letter(2 + number, ("logo-again.png", logo), ("empty", b"")))
        box.close()
    simulator = Simulator(Fleet.from_mail(paths, provider="ews"), limits=Limits.off())
    with simulator.serve() as url:
        filed = Filed(simulator, url, tmp_path / "data")
        filed.fill()
        filed.fetch()
        filed.close()

    assert filed.digests() == filed.truth()
    assert len(filed.digests()) == 2 * (len(HOSTILE) + 3)
    assert len(filed.files()) == 2 * len(HOSTILE) + 2
    assert all(map(CONTENT_ADDRESS.fullmatch, filed.files()))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data", "one.mbox", "other.mbox"]
