import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mail_pipeline.lake.connection import connect
from mail_pipeline.lake.writer import Lake
from mail_pipeline_tests.cli.conftest import Cli, Served
from mail_pipeline_tests.cli.spoiled import disconnect


@pytest.fixture
def here(cli: Callable[..., Cli], copied: Path) -> Cli:
    """Work without a key: what the lake knows of who is connected is all there is."""
    return cli(NYLAS_API_KEY="", MAIL_PIPELINE_DATA=str(copied))


def counts(data: Path) -> dict[str, int]:
    """Return how many messages each grant has."""
    with connect(data) as lake:
        return dict(lake.execute("SELECT grant_id, count(*) FROM all_messages GROUP BY ALL").fetchall())


def test_all_of_a_grant_is_erased_once_that_is_confirmed(here: Cli, served: Served, copied: Path):
    microsoft, imap = served.grant_id("microsoft"), served.grant_id("imap")
    disconnect(copied, microsoft)

    result = here.invoke("forget", microsoft, stdin="y\n")

    assert result.exit_code == 0
    assert f"of grant {microsoft}?" in result.stderr
    assert f"Erased of grant {microsoft}: 450 messages" in result.stdout
    assert counts(copied) == {imap: 120}


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_whoever_does_not_say_yes_keeps_all(here: Cli, served: Served, copied: Path, answer: str):
    microsoft = served.grant_id("microsoft")
    disconnect(copied, microsoft)
    before = counts(copied)

    result = here.invoke("forget", microsoft, stdin=answer)

    assert result.exit_code == 1
    assert "Aborted" in result.stderr
    assert counts(copied) == before


def test_an_id_of_which_nothing_is_stored_is_told_so(here: Cli, copied: Path):
    with connect(copied) as lake:
        snapshots = lake.execute("SELECT count(*) FROM lake.snapshots()").fetchall()
    before = counts(copied)

    result = here.invoke("forget", "nobody", "--yes")

    with connect(copied) as lake:
        assert lake.execute("SELECT count(*) FROM lake.snapshots()").fetchall() == snapshots
    assert (result.exit_code, result.stdout) == (0, "Nothing is stored of grant nobody.\n")
    assert counts(copied) == before


def test_a_machine_says_yes_itself_and_gets_an_object(here: Cli, served: Served, copied: Path):
    imap = served.grant_id("imap")
    disconnect(copied, imap)

    asked = here.invoke("forget", imap, "--json")
    result = here.invoke("forget", imap, "--json", "--yes")

    assert asked.exit_code == 2
    assert "add --yes" in asked.stderr
    said = json.loads(result.stdout)
    assert said.pop("data") == str(copied)
    assert said == {
        "ok": True,
        "grant_id": imap,
        "known": True,
        "messages": 120,
        "files": 0,
        "notifications": 0,
    }


@pytest.mark.parametrize("options", [["--yes"], []])
def test_a_grant_that_is_still_connected_is_refused_before_anything_is_asked(
    here: Cli, served: Served, copied: Path, options: list[str]
):
    microsoft = served.grant_id("microsoft")
    before = counts(copied)

    result = here.invoke("forget", microsoft, *options)

    assert result.exit_code == 1
    assert f"Error: Grant {microsoft} is still connected" in result.stderr
    assert "Next: Delete it at Nylas first" in result.stderr
    assert "Erase all" not in result.stderr
    assert counts(copied) == before


def test_with_a_key_the_provider_is_asked_whether_it_has_returned(
    cli: Callable[..., Cli], served: Served, copied: Path
):
    microsoft = served.grant_id("microsoft")
    disconnect(copied, microsoft)
    before = counts(copied)

    result = cli(**served.env, MAIL_PIPELINE_DATA=str(copied)).invoke("forget", microsoft, "--yes")

    assert result.exit_code == 1
    assert "is still connected" in result.stderr
    assert counts(copied) == before


def test_an_account_without_mail_is_said_to_be_erased_too(here: Cli, copied: Path):
    with Lake(copied) as lake, lake.transaction() as transaction:
        transaction.change("all_contacts", "INSERT INTO all_contacts (grant_id, id) VALUES ('lone', 'c')")

    result = here.invoke("forget", "lone", "--yes")

    assert "Erased of grant lone: 0 messages" in result.stdout


def test_where_there_is_no_lake_none_is_made(cli: Callable[..., Cli], tmp_path: Path):
    result = cli(MAIL_PIPELINE_DATA=str(tmp_path / "data")).invoke("forget", "g", "--yes")

    assert result.exit_code == 1
    assert "There is no lake" in result.stderr
    assert not (tmp_path / "data" / "lake").exists()
