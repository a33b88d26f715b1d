import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mail_pipeline_tests.cli.conftest import Cli, Served, fill

COUNT = (
    "SELECT provider, count(*) AS n FROM messages JOIN grants ON grants.id = grant_id GROUP BY 1 ORDER BY 1"
)


@pytest.fixture
def filled(cli: Callable[..., Cli], stored: Path) -> Cli:
    return cli(MAIL_PIPELINE_DATA=str(stored))


def test_a_question_is_answered_as_a_table(filled: Cli):
    result = filled.invoke("sql", COUNT)

    assert result.exit_code == 0
    assert [line.replace(" ", "") for line in result.stdout.splitlines() if "120" in line] == ["│imap│120│"]


def test_csv_and_json_give_every_row(filled: Cli):
    every = "SELECT id, subject, date FROM messages ORDER BY id"

    as_csv = list(csv.DictReader(io.StringIO(filled.invoke("sql", every, "--format", "csv").stdout)))
    as_json = json.loads(filled.invoke("sql", every, "--format", "json").stdout)

    assert len(as_csv) == len(as_json) == 570
    assert [row["id"] for row in as_csv] == [row["id"] for row in as_json]
    assert set(as_json[0]) == {"id", "subject", "date"}


def test_json_has_numbers_times_and_lists_of_its_own_kind(filled: Cli):
    query = (
        "SELECT 1.50::DECIMAL(5,2) AS d, TIMESTAMPTZ '2026-01-02 03:04:05Z' AS t, [1, NULL] AS l, NULL AS n, "
        "sum(9223372036854775807) AS big FROM range(1)"
    )

    result = filled.invoke("sql", query, "--json")

    assert json.loads(result.stdout) == [
        {"d": 1.5, "t": "2026-01-02T03:04:05+00:00", "l": [1, None], "n": None, "big": 9223372036854775807}
    ]


def test_json_has_sums_of_any_size_and_maps_of_any_key(filled: Cli):
    query = (
        "SELECT sum(18446744073709551615::UBIGINT) AS large, MAP {DATE '2026-01-02': 'one'} AS named, "
        "'nan'::DOUBLE AS none, "
        "TIMESTAMPTZ '2026-01-02 03:04:05+00' AS at FROM range(3)"
    )

    result = filled.invoke("sql", query, "--json")

    assert json.loads(result.stdout) == [
        {
            "large": 3 * 18446744073709551615,
            "named": {"2026-01-02": "one"},
            "none": None,
            "at": "2026-01-02T03:04:05+00:00",
        }
    ]


def test_no_rows_are_an_empty_list_in_json(filled: Cli):
    assert json.loads(filled.invoke("sql", "SELECT 1 WHERE false", "--json").stdout) == []


def test_a_dash_reads_the_question_from_standard_input(filled: Cli):
    result = filled.invoke("sql", "-", "--format", "csv", stdin="SELECT 42 AS answer;\n")

    assert result.stdout.split() == ["answer", "42"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT subjct FROM messages", '"subject"'),
        ("SELECT * FROM mesages", 'mail-pipeline sql "SHOW TABLES"'),
        ("SELEC 1", "syntax error"),
        ("DELETE FROM all_messages", "a query cannot change it"),
        ("DROP TABLE all_messages", "a query cannot change it"),
    ],
)
def test_a_mistake_in_the_question_is_bad_usage_and_explained(filled: Cli, query: str, said: str):
    result = filled.invoke("sql", query)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_control_characters_of_a_mail_do_not_reach_the_terminal(filled: Cli):
    result = filled.invoke("sql", "SELECT 'a' || chr(27) || '[2Jb' AS subject")

    assert "\x1b" not in result.stdout
    assert "[2Jb" in result.stdout


def test_a_file_that_is_missing_is_no_bad_usage(cli: Callable[..., Cli], served: Served, tmp_path: Path):
    fill(tmp_path / "data", served)
    for path in (tmp_path / "data" / "lake" / "tables" / "main" / "all_messages").iterdir():
        path.unlink()

    result = cli().invoke("sql", "SELECT max(subject) FROM messages")

    assert result.exit_code == 1
    assert "Next: `mail-pipeline doctor` looks at the lake." in result.stderr


def test_columns_of_one_name_are_all_there_in_json(filled: Cli):
    result = filled.invoke("sql", "SELECT 1 AS a, 2 AS a, 3 AS a_1 ORDER BY 1", "--json")
    [record] = json.loads(result.stdout)
    assert list(record.values()) == [1, 2, 3]

    joined = "SELECT * FROM mailboxes m JOIN grants g ON g.id = m.grant_id"
    as_csv = next(csv.reader(io.StringIO(filled.invoke("sql", joined, "--format", "csv").stdout)))
    as_json = json.loads(filled.invoke("sql", joined, "--json").stdout)
    assert len(as_json[0]) == len(as_csv)


def test_a_machine_that_asks_for_json_always_gets_some(cli: Callable[..., Cli], filled: Cli):
    assert json.loads(filled.invoke("sql", "/* nothing */", "--json").stdout) == []

    result = cli(MAIL_PIPELINE_DATA="nowhere").invoke("sql", "SELECT 1", "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert said["ok"] is False
    assert "There is no lake" in said["error"]
