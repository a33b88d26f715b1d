import pytest

from mail_pipeline.simulator.health import FAILED_AFTER, FAILING_AFTER, Health

MINUTE, HOUR = 60.0, 3_600.0


def statuses(tries):
    health = Health()
    return [health.status(at, good) for at, good in tries]


def test_trouble_becomes_failing_after_a_quarter_of_an_hour():
    tries = [(minute * MINUTE, False) for minute in range(17)]
    assert statuses(tries) == ["active"] * 15 + ["failing"] * 2


def test_it_becomes_failed_after_three_days():
    tries = [(hour * HOUR, False) for hour in range(74)]
    assert statuses(tries) == ["active"] + ["failing"] * 71 + ["failed"] * 2


@pytest.mark.parametrize(("bad", "status"), [(94, "active"), (95, "failing")])
def test_five_in_a_hundred_good_answers_are_too_few(bad, status):
    tries = [(0.0, place >= bad) for place in range(100)]
    assert statuses([*tries, (FAILING_AFTER, False)])[-1] == status


def test_it_recovers_when_answers_are_good_again():
    tries = [(minute * MINUTE, False) for minute in range(20)]
    assert statuses([*tries, (20 * MINUTE, True)])[-1] == "active"


def test_one_bad_answer_after_a_quiet_time_is_no_trouble():
    assert statuses([(0.0, True), (5 * HOUR, False), (5 * HOUR + 60, True)]) == ["active"] * 3


def test_good_answers_before_the_trouble_are_forgotten_in_time():
    before = [(second, True) for second in range(100)]
    trouble = [(100 + hour * HOUR, False) for hour in range(73)]
    assert statuses(before + trouble)[-1] == "failed"
    assert trouble[-1][0] - trouble[0][0] == FAILED_AFTER
