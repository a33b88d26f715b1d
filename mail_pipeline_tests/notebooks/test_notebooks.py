"""The notebook: run from top to bottom, as people run it, on mail whose truth is known.

What it showed lies in artifacts/ as HTML. The picture in the docs is renewed by

    make screenshots
"""

import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import nbformat
import pytest

from mail_pipeline.lake.connection import open_duckdb
from mail_pipeline.simulator import PROVIDERS, Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.backfill.world import World, world
from mail_pipeline_tests.notebooks.running import NOTEBOOK, ROOT, Shown, run, tile

_RENEW = "RENEW_IMAGES" in os.environ
_ARTIFACTS = ROOT / "artifacts"
_IN_README = (("complete-plot", "months-plot"), ("hours-plot", "answers-plot"))

Message = dict[str, Any]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A lake with a mailbox of each provider; the demo's own where its picture is taken for the README."""
    simulator = Simulator(Fleet.demo() if _RENEW else _fleet(), limits=Limits.off())
    with world(simulator, tmp_path_factory.mktemp("notebook") / "data") as place:
        ended = place.backfill(place.register())
        assert {each.state for each in ended.values()} == {"complete"}
        yield place


def _fleet() -> Fleet:
    specs = [
        MailboxSpec(provider, messages=200 + 80 * size, body_mean=500, user_folders=3)
        for size, provider in enumerate(PROVIDERS)
    ]
    return Fleet.generate(5, specs)


@pytest.fixture(scope="module")
def shown(filled: World) -> Shown:
    shown = run(filled.data)
    shown.save(_ARTIFACTS / "first_answers.html")
    return shown


@pytest.fixture(scope="module")
def mail(filled: World) -> dict[str, list[Message]]:
    """Every message as the simulator has it, by the account's name in the notebook."""
    return {
        f"{mailbox.grant.provider} · {mailbox.grant.email}": list(filled.simulator.truth(mailbox.grant.id))
        for mailbox in filled.simulator.fleet
    }


def _all(mail: dict[str, list[Message]]) -> list[Message]:
    return [message for messages in mail.values() for message in messages]


def _sender(message: Message) -> str:
    people = message.get("from") or [{}]
    return (people[0].get("email") or "").strip().lower()


def _when(message: Message) -> datetime:
    return datetime.fromtimestamp(message["date"], UTC)


def _owner(account: str) -> str:
    return account.partition(" · ")[2].lower()


def test_it_is_kept_without_outputs_and_with_ids_that_stay() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count) for cell in code] == [([], None)] * len(code)
    assert {key for cell in notebook.cells for key in cell.metadata} == set()


def test_every_cell_runs_in_order_without_a_warning(shown: Shown) -> None:
    code = [cell for cell in shown.notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(2, len(code) + 2))
    complaints = [
        output
        for cell in code
        for output in cell.outputs
        if output.get("name") == "stderr" or "ename" in output
    ]
    assert complaints == []
    assert len(shown.pictures()) == 10
    assert all(picture.startswith(b"\x89PNG") for picture in shown.pictures().values())


def test_it_says_first_which_folder_it_shows(shown: Shown, filled: World) -> None:
    assert shown.printed("connect") == f"Mail from {filled.data.resolve()}\n"


def test_the_ledger_counts_what_each_account_holds(
    shown: Shown, filled: World, mail: dict[str, list[Message]]
) -> None:
    ledger = {row["account"]: row for row in shown.tables["ledger"]}
    assert {name: row["messages"] for name, row in ledger.items()} == {
        name: len(messages) for name, messages in mail.items()
    }
    for name, messages in mail.items():
        row, dates = ledger[name], [_when(message).date() for message in messages]
        assert row["complete"] == row["mailboxes"]
        assert date.fromisoformat(row["oldest"][:10]) == min(dates)
        assert date.fromisoformat(row["newest"][:10]) == max(dates)
        assert row["listed_percent"] in {100, None}
    # Google gives no counts that could be compared, Yahoo none at all.
    known = {name.partition(" ")[0] for name, row in ledger.items() if row["listed_percent"] == 100}
    assert known == {"microsoft", "ews", "imap", "icloud"}
    every = sum(row["mailboxes"] for row in ledger.values())
    assert every == len(filled.keys())
    said = shown.printed("complete-plot")
    assert f"{every} of {every} mailboxes are complete, 0 are paused or failed" in said
    assert f"{len(_all(mail)):,} messages are here" in said


def test_months_and_hours_count_each_message_once(shown: Shown, mail: dict[str, list[Message]]) -> None:
    months = Counter(
        (account, _when(message).strftime("%Y-%m"))
        for account, messages in mail.items()
        for message in messages
    )
    assert {(row["account"], row["month"][:7]): row["messages"] for row in shown.tables["months"]} == months
    hours = Counter((_when(message).isoweekday(), _when(message).hour) for message in _all(mail))
    assert {(row["weekday"], row["hour"]): row["messages"] for row in shown.tables["hours"]} == hours
    assert f"with {max(hours.values()):,} messages" in shown.printed("hours-plot")


def test_those_who_write_most_are_others_than_the_owners(
    shown: Shown, mail: dict[str, list[Message]]
) -> None:
    owners = {_owner(account) for account in mail}
    senders = Counter(
        sender for message in _all(mail) if (sender := _sender(message)) and sender not in owners
    )
    assert [row["messages"] for row in shown.tables["senders"]] == _largest(senders)
    assert all(senders[row["sender"]] == row["messages"] for row in shown.tables["senders"])
    domains: Counter[str] = Counter()
    for sender, count in senders.items():
        domains[sender.rpartition("@")[2]] += count
    (domain, messages), *_ = sorted(domains.items(), key=lambda each: (-each[1], each[0]))
    assert [row["messages"] for row in shown.tables["domains"]] == _largest(domains)
    assert shown.printed("domains-plot").startswith(f"{domain} writes most: {messages:,} messages by ")


def _largest(counts: Counter[str]) -> list[int]:
    return [count for _, count in counts.most_common(12)]


def test_room_is_bodies_and_attachments(shown: Shown, mail: dict[str, list[Message]]) -> None:
    bodies: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for message in _all(mail):
        if sender := _sender(message):
            domain = sender.rpartition("@")[2]
            bodies[domain] += len((message.get("body") or "").encode())
            files[domain] += sum(each.get("size") or 0 for each in message.get("attachments") or ())
    rows = shown.tables["storage"]
    assert [row["domain"] for row in rows][:3] == [name for name, _ in (bodies + files).most_common(3)]
    assert {row["domain"]: (row["bodies_mb"], row["attachments_mb"]) for row in rows} == {
        row["domain"]: pytest.approx((bodies[row["domain"]] / 1e6, files[row["domain"]] / 1e6))
        for row in rows
    }
    attached = [each for message in _all(mail) for each in message.get("attachments") or ()]
    pdf = sum((each.get("content_type") or "").startswith("application/pdf") for each in attached)
    kinds = {row["kind"]: row["files"] for row in shown.tables["kinds"]}
    assert kinds["pdf"] == pdf
    assert sum(kinds.values()) == len(attached)


def test_threads_are_counted_by_length(shown: Shown, mail: dict[str, list[Message]]) -> None:
    threads = Counter(
        (account, message["thread_id"])
        for account, messages in mail.items()
        for message in messages
        if message.get("thread_id")
    )
    lengths = Counter(threads.values())
    assert max(lengths) < 20
    assert {row["length"]: row["threads"] for row in shown.tables["lengths"]} == lengths


def test_unread_mail_is_counted_where_it_lies(
    shown: Shown, filled: World, mail: dict[str, list[Message]]
) -> None:
    inbox = {
        (mailbox.grant.id, folder.id)
        for mailbox in filled.simulator.fleet
        for folder in mailbox.folders
        if folder.role == "inbox"
    }
    there = [
        message
        for message in _all(mail)
        if any((message["grant_id"], folder) in inbox for folder in message.get("folders") or ())
    ]
    (row,) = (row for row in shown.tables["places"] if row["place"] == "inbox")
    unread = sum(bool(message.get("unread")) for message in there)
    assert (row["messages"], row["unread"]) == (len(there), unread)
    assert unread > 0


def test_answers_are_timed_from_the_first_message_of_the_other_side(
    shown: Shown, filled: World, mail: dict[str, list[Message]]
) -> None:
    drafts = {
        folder.id
        for mailbox in filled.simulator.fleet
        for folder in mailbox.folders
        if folder.role == "drafts"
    }
    waits: dict[tuple[str, str], list[float]] = defaultdict(list)
    for account, messages in mail.items():
        threads = defaultdict(list)
        for message in sorted(messages, key=lambda each: (each["date"], each["id"])):
            if (
                message.get("thread_id")
                and _sender(message)
                and drafts.isdisjoint(message.get("folders") or ())
            ):
                threads[message["thread_id"]].append(message)
        for thread in threads.values():
            turns = [next(side) for _, side in groupby(thread, _is_by(_owner(account)))]
            for asked, answered in pairwise(turns):
                who = "the owner" if _sender(answered) == _owner(account) else "others"
                waits[account, who].append((answered["date"] - asked["date"]) / 3600)
    assert {(row["account"], row["answers_by"]): row["answers"] for row in shown.tables["answers"]} == {
        key: len(hours) for key, hours in waits.items()
    }
    for row in shown.tables["answers"]:
        hours = waits[row["account"], row["answers_by"]]
        assert row["median_hours"] == pytest.approx(median(hours))
        assert median(hours) < row["p90_hours"] <= max(hours)


def _is_by(owner: str) -> Callable[[Message], bool]:
    return lambda message: _sender(message) == owner


def test_its_attach_line_reads_the_lake_from_any_duckdb(shown: Shown, mail: dict[str, list[Message]]) -> None:
    with open_duckdb() as other:
        other.execute(shown.printed("attach"))
        assert other.execute("SELECT count(*) FROM messages").fetchone() == (len(_all(mail)),)


def test_an_earlier_version_holds_less(shown: Shown, mail: dict[str, list[Message]]) -> None:
    now, version, moment = (row["messages"] for row in shown.tables["travelled"])
    assert now == len(_all(mail))
    assert version == moment
    assert 0 < version < now


@pytest.mark.parametrize("listed", [False, True], ids=["no accounts", "accounts without mail"])
def test_where_no_mail_is_yet_it_says_so(filled: World, tmp_path: Path, *, listed: bool) -> None:
    fleet = filled.simulator.fleet if listed else Fleet.generate(5, [])
    with world(Simulator(fleet, limits=Limits.off()), tmp_path / "data") as place:
        keys = place.register()
        shown = run(place.data)
    assert len(shown.pictures()) == 10
    assert sum(row["mailboxes"] for row in shown.tables["incomplete"]) == len(keys)
    assert len(shown.tables["ledger"]) == len(fleet)
    empty = ("months", "hours", "senders", "domains", "storage", "kinds", "lengths", "places", "answers")
    assert {name: shown.tables[name] for name in empty} == {name: [] for name in empty}


def test_the_picture_in_the_readme_is_of_it_and_small(shown: Shown) -> None:
    pictures, path = shown.pictures(), _ARTIFACTS / "notebook.png"
    tile([[pictures[name] for name in row] for row in _IN_README], path)
    assert path.stat().st_size < 150_000
    if _RENEW:
        shutil.copy(path, ROOT / "docs" / "images")
