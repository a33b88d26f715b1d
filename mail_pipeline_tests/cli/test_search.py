import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mail_pipeline.lake.writer import Lake
from mail_pipeline.search.index import index_path
from mail_pipeline.search.refresh import refresh
from mail_pipeline.sync.merge import Observation
from mail_pipeline_tests.cli.conftest import Cli
from mail_pipeline_tests.search.letters import letter, store

ANN: dict[str, Any] = {
    "from": [("Ann Lee", "ann@mail.example.org")],
    "date": 1_700_000_000,
    "folders": ["f1"],
}
BOB: dict[str, Any] = {"from": [("Bob", "bob@example.com")], "date": 1_750_000_000, "folders": ["f2"]}
FOLDERS = """
INSERT INTO all_folders BY NAME SELECT 'grant' AS grant_id, 'f1' AS id, 'Ablage' AS name, 'archive' AS role,
    now() AS observed_at
"""


@pytest.fixture(scope="module")
def unsearched(tmp_path_factory: pytest.TempPathFactory, empty_lake: Path) -> Path:
    """Three messages about a budget, and one about lunch; for copying only."""
    data = Path(shutil.copytree(empty_lake, tmp_path_factory.mktemp("unsearched") / "data"))
    letters = [
        letter("a", "Budget", "The budget for <b>2024</b>", **ANN),
        letter("b", "Re: Budget", "As for the budget, yes. " + "Nothing else. " * 90, **BOB),
        letter("c", "Lunch", "Let us eat \x1b[2J and drink", **BOB),
    ]
    with Lake(data) as lake:
        store(lake, letters)
        store(lake, [letter("d", "Numbers", "Our budget")], "other")
        with lake.transaction() as transaction:
            transaction.change("all_folders", FOLDERS)
    return data


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, unsearched: Path) -> Path:
    """The same with an index, for tests that only read."""
    data = Path(shutil.copytree(unsearched, tmp_path_factory.mktemp("searched") / "data"))
    refresh(data)
    return data


@pytest.fixture
def data(tmp_path: Path, unsearched: Path) -> Path:
    return Path(shutil.copytree(unsearched, tmp_path / "data"))


@pytest.fixture
def new(data: Path, cli: Callable[..., Cli]) -> Cli:
    return cli()


@pytest.fixture
def mail(searched: Path, cli: Callable[..., Cli]) -> Cli:
    return cli(MAIL_PIPELINE_DATA=str(searched))


def found(mail: Cli, *arguments: str) -> list[str]:
    result = mail.invoke("search", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return [each["id"] for each in json.loads(result.stdout)["messages"]]


def test_it_indexes_first_and_shows_date_sender_subject_and_the_words_in_their_place(new: Cli):
    process = new.run("search", "budget", "for")

    assert process.returncode == 0
    assert process.stdout.splitlines() == [
        "2023-11-14 22:13  Ann Lee <ann@mail.example.org>  Budget",
        "    The budget for 2024",
        "2025-06-15 15:06  Bob <bob@example.com>  Re: Budget",
        "    As for the budget, yes. " + "Nothing else. " * 9 + "Nothing…",
    ]
    assert process.stderr.splitlines() == [
        "The search index is behind the tables; bringing it up to them.",
        "4 of 4 messages indexed",
        "4 messages in the index.",
    ]
    again = new.run("search", "budget", "for")
    assert (again.returncode, again.stdout, again.stderr) == (0, process.stdout, "")


def test_the_index_follows_the_mail(new: Cli, data: Path):
    assert found(new, "drink") == ["c"]
    with Lake(data) as lake:
        store(lake, [letter("c", "Lunch", "Let us fast", at=2), Observation("a", 2, gone=True)])
        store(lake, [letter("e", "Drink", "", at=2)])

    result = json.loads(new.invoke("search", "drink", "--json").stdout)

    assert [each["id"] for each in result["messages"]] == ["e"]
    assert result["refreshed"] == {"indexed": 2, "removed": 2}
    assert found(new, "budget") == ["d", "b"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["a", "d", "b"]),
        (["--grant", "other"], ["d"]),
        (["--from", "ann lee"], ["a"]),
        (["--from", "@EXAMPLE.com"], ["b"]),
        (["--from", "%"], []),
        (["--folder", "ablage"], ["a"]),
        (["--folder", "archive"], ["a"]),
        (["--since", "2024-01-01"], ["b"]),
        (["--limit", "1"], ["a"]),
        (["--from", "bob", "--since", "2026-01-01"], []),
    ],
)
def test_options_narrow_it_down(mail: Cli, options: list[str], expected: list[str]):
    assert found(mail, "budget", *options) == expected


def test_phrases_and_beginnings_as_the_shell_hands_them_over(mail: Cli):
    assert found(mail, '"the budget for"') == ["a"]
    assert found(mail, "budg*", "2024") == ["a"]
    assert found(mail, "the", "budget") == ["a", "b"]


def test_json_has_everything_of_a_hit(mail: Cli):
    [hit] = json.loads(mail.invoke("search", "2024", "--json").stdout)["messages"]

    assert hit.pop("score") > 0
    assert hit == {
        "grant_id": "grant",
        "id": "a",
        "date": "2023-11-14T22:13:20+00:00",
        "from_name": "Ann Lee",
        "from_address": "ann@mail.example.org",
        "subject": "Budget",
        "snippet": "The budget for 2024",
    }


def test_nothing_found_is_no_failure(mail: Cli):
    result = mail.invoke("search", "nowhere")

    assert (result.exit_code, result.stdout) == (0, "No message holds these words.\n")


@pytest.mark.parametrize("words", ["'; DROP TABLE x --", 'a "b', "budget\udcff", "NEAR(a"])
def test_odd_words_are_words(mail: Cli, words: str):
    result = mail.invoke("search", "--", words)

    assert result.exit_code == 0
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words", ["!!!", ""])
def test_no_word_is_bad_usage_and_explained(mail: Cli, words: str):
    result = mail.invoke("search", words)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "There is no word to look for: expected words" in result.stderr


def test_control_characters_of_a_mail_do_not_reach_the_terminal(mail: Cli):
    shown = mail.invoke("search", "drink")

    assert "and drink" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_without_a_lake_it_says_so_and_makes_nothing(cli: Callable[..., Cli], tmp_path: Path):
    result = cli().invoke("search", "budget")

    assert result.exit_code == 1
    assert "There is no lake in" in result.stderr
    assert not (tmp_path / "data").exists()


def test_a_damaged_index_is_made_anew(new: Cli, data: Path):
    assert found(new, "drink") == ["c"]
    index_path(data).write_bytes(b"rubbish" * 1000)

    assert found(new, "drink") == ["c"]


def test_sql_may_search_too(new: Cli):
    query = "SELECT m.subject FROM search('drink') JOIN messages m USING (grant_id, id)"
    before = new.invoke("sql", query)
    assert before.exit_code == 2
    assert "mail-pipeline search" in before.stderr

    new.invoke("search", "drink")

    assert json.loads(new.invoke("sql", query, "--json").stdout) == [{"subject": "Lunch"}]
