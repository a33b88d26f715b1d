import io
from decimal import Decimal

import pytest
from rich.console import Console

from mail_pipeline.cli.terminal import as_json, counted, duration, explained, print_table


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3_600, "1 h"),
        (7_530, "2 h 5 min"),
        (86_400 * 3 + 3_600 * 4 + 59, "3 d 4 h"),
    ],
)
def test_a_length_of_time_is_said_in_its_two_largest_units(seconds: float, said: str):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("reason", "next_step", "said"),
    [
        ("It broke", "Mend it.", "It broke. Mend it."),
        ("It broke.", "Mend it", "It broke. Mend it."),
        ("It broke", None, "It broke."),
        (None, None, ""),
    ],
)
def test_reason_and_next_step_are_whole_sentences(reason: str | None, next_step: str | None, said: str):
    assert explained(reason, next_step) == said


def test_states_are_counted_in_a_fixed_order():
    assert counted(["failed", "complete", "failed"]) == "1 complete, 2 failed"
    assert counted([]) == "none"


def test_decimals_become_numbers_and_the_rest_text():
    assert as_json({"n": Decimal("1.5")}) == '{"n":1.5}'
    assert as_json([b"x"]) == """["b'x'"]"""


def test_a_table_shows_brackets_nothing_for_none_and_groups_digits():
    out = io.StringIO()

    rows = [("[Gmail]/[bold]All", 12_345), (None, None)]
    print_table(Console(file=out, width=80), "Title", ["folder", "n"], rows)

    title, header, _, first, second = (line.strip() for line in out.getvalue().splitlines())
    assert (title, header.split()) == ("Title", ["folder", "n"])
    assert first.split() == ["[Gmail]/[bold]All", "12,345"]
    assert second == ""


def test_without_names_of_columns_there_is_no_header():
    out = io.StringIO()

    print_table(Console(file=out, width=80), "", ["", ""], [("OK", "Python")])

    assert [line.split() for line in out.getvalue().splitlines() if line.strip()] == [["OK", "Python"]]
