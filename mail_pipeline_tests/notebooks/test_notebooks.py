"""The notebooks: run from top to bottom, as people run them, on mail whose truth is known.

What they showed lies in artifacts/ as HTML. The pictures in the docs are renewed by

    make screenshots
"""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pytest

from mail_pipeline.freshness import freshness
from mail_pipeline.lake.connection import open_duckdb, tables_path
from mail_pipeline.marts.questions import QUESTIONS, TEN
from mail_pipeline.simulator import Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.backfill.world import world
from mail_pipeline_tests.notebooks.running import NOTEBOOKS, ROOT, Shown, kept, run, tile
from mail_pipeline_tests.notebooks.world import Filled, Message, filled, truth, unread

_RENEW = "RENEW_IMAGES" in os.environ
_ARTIFACTS = ROOT / "artifacts"
_IN_README = {
    "tour": (
        ("complete-plot", "volume_per_month-plot"),
        ("volume_heatmap-plot", "response_times-plot"),
    ),
    "operations": (("messages-plot", "plan-plot"), ("gaps-plot", "size-plot")),
}
_ANSWERS = (
    "correspondents",
    "domains",
    "hours",
    "months",
    "answers",
    "lengths",
    "kinds",
    "senders",
    "hits",
    "timeline",
)
"""The variables of the tour that hold the answers to the ten questions, in their order."""

Run = Callable[[str], Shown]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """One lake for both; the demo's own mail where the README's pictures are taken."""
    with filled(tmp_path_factory.mktemp("notebook") / "data", as_the_demo=_RENEW) as found:
        yield found


@pytest.fixture(scope="module")
def shown(lake: Filled) -> Run:
    """Run a notebook, once for all tests."""

    @cache
    def once(name: str) -> Shown:
        ran = run(name, lake.data)
        ran.save(_ARTIFACTS / f"{name}.html")
        return ran

    return once


@pytest.fixture
def tour(shown: Run) -> Shown:
    return shown("tour")


@pytest.fixture
def operations(shown: Run) -> Shown:
    return shown("operations")


def _cells(notebook: nbformat.NotebookNode, kind: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def _all(mail: dict[str, list[Message]]) -> list[Message]:
    return [message for messages in mail.values() for message in messages]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_is_kept_without_outputs_and_with_ids_that_stay(name: str) -> None:
    notebook = kept(name)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    code = _cells(notebook, "code")
    assert [(cell.outputs, cell.execution_count) for cell in code] == [([], None)] * len(code)
    assert {key for cell in notebook.cells for key in cell.metadata} == set()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_cell_runs_in_order_without_a_warning(shown: Run, name: str) -> None:
    code = _cells(shown(name).notebook, "code")
    assert [cell.execution_count for cell in code] == list(range(2, len(code) + 2))
    complaints = [
        output
        for cell in code
        for output in cell.outputs
        if output.get("name") == "stderr" or "ename" in output
    ]
    assert complaints == []
    pictures = shown(name).pictures()
    assert set(pictures) == {cell.id for cell in code if "chart(" in cell.source}
    assert len(pictures) >= 8
    assert all(picture.startswith(b"\x89PNG") for picture in pictures.values())


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_says_first_which_folder_it_shows(shown: Run, lake: Filled, name: str) -> None:
    assert shown(name).printed("connect").splitlines()[0].endswith(f" {lake.data.resolve()}")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_whatever_it_tells_in_numbers_says_how_fresh_and_complete_they_are(
    shown: Run, lake: Filled, name: str
) -> None:
    now = freshness(lake.world.connection)
    assert str(now).endswith(f"{now.mailboxes} of {now.mailboxes} mailboxes complete, 1 gap open")
    telling = [cell.id for cell in _cells(shown(name).notebook, "code") if "tell(" in cell.source]
    assert len(telling) >= 9
    fresh = {f"({now})", f"({now.of_marts})"}
    assert {shown(name).printed(cell).splitlines()[-1] for cell in telling} <= fresh


def test_the_ledger_counts_what_each_account_holds(tour: Shown, lake: Filled) -> None:
    ledger = {row["account"]: row for row in tour.tables["ledger"]}
    assert set(ledger) == set(lake.backfilled)
    for name, messages in lake.backfilled.items():
        row, dates = ledger[name], [datetime.fromtimestamp(each["date"], UTC).date() for each in messages]
        assert row["messages"] == len(messages)
        assert row["complete"] == row["mailboxes"]
        assert date.fromisoformat(row["oldest"][:10]) == min(dates)
        assert date.fromisoformat(row["newest"][:10]) == max(dates)
    # Google gives no counts that could be compared, Yahoo none at all.
    known = {name.partition(" ")[0] for name, row in ledger.items() if row["listed_percent"] is not None}
    assert known == {"microsoft", "ews", "imap", "icloud"}
    assert sum(row["mailboxes"] for row in ledger.values()) == len(lake.world.keys())
    said = tour.printed("complete-plot")
    assert said.startswith(f"{len(_all(lake.backfilled)):,} messages were stored by backfills; 0 mailboxes")


def test_it_asks_the_ten_questions_as_they_stand_and_draws_each(tour: Shown, lake: Filled) -> None:
    given = {
        "address": tour.tables["correspondents"][0]["address"],
        "word": re.findall("“(.+)”", tour.printed("subject_contains-plot"))[0],
    }
    headings = [cell.source.splitlines()[0] for cell in _cells(tour.notebook, "markdown") if cell.id in TEN]
    assert headings == [f"## {place}. {QUESTIONS[name].title}" for place, name in enumerate(TEN, start=1)]
    for name, variable in zip(TEN, _ANSWERS, strict=True):
        question = QUESTIONS[name]
        asked = {each: given[each] for each in question.parameters}
        frame = lake.world.connection.execute(question.sql, asked).df()
        assert tour.tables[variable] == json.loads(frame.to_json(orient="records", date_format="iso"))
        assert tour.tables[variable]
        assert tour.printed(f"{name}-query") == f"{question.sql}\n"
        assert f"{name}-plot" in tour.pictures()


def test_attachments_are_all_counted(tour: Shown, lake: Filled) -> None:
    attached = [each for message in _all(truth(lake.world)) for each in message.get("attachments") or ()]
    pdf = sum((each.get("content_type") or "").startswith("application/pdf") for each in attached)
    kinds = {row["content_type"]: row["files"] for row in tour.tables["kinds"]}
    assert kinds["application/pdf"] == pdf
    assert sum(kinds.values()) == len(attached)


def test_it_lists_every_table_and_view_with_what_it_holds(tour: Shown, lake: Filled) -> None:
    rows = lake.world.ask(
        "SELECT table_name, table_type FROM information_schema.tables WHERE table_catalog = 'lake'"
    )
    listed = {row["name"]: row["kind"] for row in tour.tables["tables"]}
    assert listed == {name: "view" if kind == "VIEW" else "table" for name, kind in rows}
    assert all(row["comment"] for row in tour.tables["tables"])


def test_yesterday_is_as_it_was(tour: Shown, lake: Filled) -> None:
    now = truth(lake.world)
    assert tour.printed("travel-versions").startswith("Yesterday at this time the newest version was ")
    travelled = {row["account"]: row for row in tour.tables["travelled"]}
    for when, mail in (("then", lake.backfilled), ("now", now)):
        counts = {name: (row[f"messages_{when}"], row[f"unread_{when}"]) for name, row in travelled.items()}
        assert counts == {name: (len(messages), unread(mail)[name]) for name, messages in mail.items()}
    assert lake.backfilled != now
    assert tour.tables["moment"] == [{"messages": len(_all(lake.backfilled))}]


def test_its_attach_line_reads_the_lake_from_any_duckdb(tour: Shown, lake: Filled) -> None:
    with open_duckdb() as other:
        other.execute(tour.printed("attach"))
        assert other.execute("SELECT count(*) FROM messages").fetchone() == (len(_all(truth(lake.world))),)


def test_progress_ends_where_the_ledger_stands(operations: Shown, lake: Filled) -> None:
    ways: dict[str, Any] = {}
    for row in operations.tables["progress"]:
        assert row["messages"] >= ways.get(row["mailbox"], row)["messages"]
        ways[row["mailbox"]] = row
    largest = lake.world.ask("SELECT messages, pages, state FROM mailboxes ORDER BY messages DESC LIMIT 8")
    assert len(ways) == 8
    assert sorted((row["messages"], row["pages"], row["state"]) for row in ways.values()) == sorted(largest)


def test_what_is_spent_by_the_minute_adds_up_to_the_ledger(operations: Shown, lake: Filled) -> None:
    requests: Counter[str] = Counter()
    units: Counter[str] = Counter()
    for row in operations.tables["spent"]:
        requests[row["provider"]] += row["requests"]
        units[row["provider"]] += row["units"]
    rows = lake.world.ask("SELECT provider, sum(requests), sum(quota_units) FROM mailboxes GROUP BY ALL")
    assert requests == {provider: spent for provider, spent, _ in rows}
    assert units == {provider: spent for provider, _, spent in rows}
    assert {row["provider"] for row in operations.tables["units"]} == {"google"}


def test_the_plan_stands_beside_what_it_took(operations: Shown, lake: Filled) -> None:
    rows = operations.tables["planned"]
    assert {row["provider"] for row in rows} == {"google", "microsoft", "ews", "imap", "icloud"}
    took = {row["partition_key"]: (row["ids_seen"], row["pages"]) for row in rows}
    ledger = lake.world.ledger()
    assert took == {key: (ledger[key]["ids_seen"], ledger[key]["pages"]) for key in took}
    assert operations.printed("plan-plot").startswith(
        f"{sum(row['planned_messages'] for row in rows):,} messages were planned"
    )


def test_gaps_sweeps_and_coverage_are_those_that_are_known(operations: Shown, lake: Filled) -> None:
    known = [(cause, repaired) for cause, _, _, _, repaired in lake.world.gaps()]
    told = [(row["cause"], row["repaired_at"] is not None) for row in operations.tables["gaps"]]
    assert told == known
    assert ("receiver down", True) in told
    assert told[-1] == ("webhook not active", False)
    assert len(operations.tables["swept"]) == len(list(lake.world.simulator.fleet))
    coverage = operations.tables["coverage"]
    assert sum(row["covered"] for row in coverage) == len(lake.world.keys())


def test_notifications_are_counted_by_what_became_of_them(operations: Shown, lake: Filled) -> None:
    outcomes: Counter[str] = Counter()
    for row in operations.tables["hours"]:
        outcomes[row["outcome"]] += row["notifications"]
    assert outcomes == dict(lake.world.ask("SELECT outcome, count(*) FROM notifications GROUP BY ALL"))
    assert outcomes["dead"] == 1
    [letter] = (row for row in operations.tables["dead"] if row["object"] == "notification")
    assert (letter["letters"], letter["stored"]) == (1, False)


def test_the_size_is_that_of_files_that_are_there(operations: Shown, lake: Filled) -> None:
    files = [file.stat().st_size for file in tables_path(lake.data).rglob("*.parquet")]
    rows = operations.tables["size"]
    assert 0 < sum(row["files"] for row in rows) <= len(files)
    assert sum(row["megabytes"] for row in rows) <= sum(files) / 1e6
    assert {"all_messages", "message_bodies"} <= {row["table_name"] for row in rows}


@pytest.mark.parametrize(
    ("name", "listed"), [("tour", False), ("tour", True), ("operations", False)], ids=str
)
def test_where_no_mail_is_yet_it_says_so(tmp_path: Path, name: str, *, listed: bool) -> None:
    fleet = Fleet.generate(5, [MailboxSpec("google", messages=5)] if listed else [])
    with world(Simulator(fleet, limits=Limits.off()), tmp_path / "data") as place:
        keys = place.register()
        ran = run(name, place.data)
    tables = ran.tables
    assert set(ran.pictures()) == {cell.id for cell in _cells(kept(name), "code") if "chart(" in cell.source}
    if name == "operations":
        assert sum(row["mailboxes"] for row in tables["states"]) == len(keys)
        assert {
            each for each in ("progress", "spent", "planned", "gaps", "hours", "dead") if tables[each]
        } == set()
        return
    assert sum(row["mailboxes"] for row in tables["incomplete"]) == len(keys)
    assert len(tables["ledger"]) == len(fleet)
    assert {variable: tables[variable] for variable in _ANSWERS} == {variable: [] for variable in _ANSWERS}
    assert ran.printed("travel-versions").startswith("Nothing is a day old yet. The oldest version kept is ")
    _, way = ran.printed("fresh-now").splitlines()[1].split("To fill them now: ")
    exec(way, {"data": place.data})


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_picture_in_the_readme_is_of_it_and_small(shown: Run, name: str) -> None:
    pictures, path = shown(name).pictures(), _ARTIFACTS / f"{name}.png"
    tile([[pictures[each] for each in row] for row in _IN_README[name]], path)
    assert path.stat().st_size < 150_000
    if _RENEW:
        shutil.copy(path, ROOT / "docs" / "images")
