import pytest

from benchmarks import freshness
from benchmarks.freshness import Trial
from mail_pipeline_tests.benchmarks.whole import whole


@whole
def test_a_notification_is_followed_from_its_landing_to_the_tables():
    [trial] = freshness.measure(trials=1)

    parts = (trial.bell, trial.queue, trial.start, trial.apply)
    assert all(part >= 0 for part in parts)
    assert 0 < sum(parts) == pytest.approx(trial.total)


def test_figures_are_per_part_over_all_trials():
    trials = [Trial(0.0, 0.5, 1.0, number / 10, total=1.5 + number / 10) for number in range(101)]

    found = {each.part: each for each in freshness.figures(trials)}

    assert tuple(found) == freshness.PARTS
    assert (found["bell"].p50, found["bell"].max) == (0, 0)
    assert (found["apply"].p50, found["apply"].max) == (5, 10)
    assert found["apply"].p95 == pytest.approx(9.5)
    assert freshness.table(list(found.values())).count("\n") == 1 + len(freshness.PARTS)
    assert freshness.figures(trials[:1])[-1].p95 == trials[0].total
