from benchmarks import applying
from mail_pipeline_tests.benchmarks.whole import whole


@whole
def test_a_batch_is_applied_to_both_lakes():
    figures = applying.measure(stored=400, notifications=20, grants=8, rounds=1)

    assert [each.lake for each in figures] == ["empty", "400 messages"]
    assert figures[0].wall_ratio == figures[0].cpu_ratio == 1
    assert all(each.notifications == 20 and each.cpu_median > 0 for each in figures)
    assert applying.table(figures).count("\n") == 1 + len(figures)
