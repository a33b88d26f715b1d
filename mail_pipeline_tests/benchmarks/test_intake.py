import pytest

from benchmarks import intake
from mail_pipeline_tests.benchmarks.whole import whole
from mail_pipeline_tests.inbox.conftest import postgres  # noqa: F401


@whole
def test_both_receivers_are_measured_in_turn():
    figures = intake.measure(seconds=0.5, rounds=1, connections=8)

    assert [each.case for each in figures] == list(intake.CASES)
    assert [each.other_answers for each in figures] == [0, 0]
    assert all(0 < each.p50 <= each.p99 for each in figures)
    assert figures[0].rate_over_bare == figures[0].p99_over_bare == 1
    assert figures[1].rate_over_bare == figures[1].rate / figures[0].rate
    assert intake.table(figures).count("\n") == 1 + len(figures)


@whole
def test_postgres_is_measured_beside_them_where_it_is_named(request: pytest.FixtureRequest):
    psycopg = pytest.importorskip("psycopg", reason="Postgres' driver is not installed")
    url = request.getfixturevalue("postgres").new_database("intake")
    figures = intake.measure(seconds=0.5, rounds=1, connections=8, database_url=url)

    assert [each.case for each in figures] == [*intake.CASES, intake.ON_POSTGRES]
    assert figures[-1].other_answers == 0
    with psycopg.connect(url) as connection:
        [(stored,)] = connection.execute("SELECT count(*) FROM notifications").fetchall()
    assert stored > 0


def test_a_burst_lands_whole():
    result = intake.burst(2_000)

    assert (result.sent, result.answered_200, result.landed) == (2_000, 2_000, 2_000)
    assert result.seconds > 0
