from benchmarks import quota, reader
from mail_pipeline_tests.benchmarks.whole import whole


@whole
def test_reading_is_measured_in_pairs():
    (figures,) = reader.measure(messages=400, rounds=1, paces=["as fast as it goes"])
    assert figures.wall_ratio == figures.wall_read / figures.wall_alone
    assert figures.cpu_ratio == figures.cpu_read / figures.cpu_alone
    assert figures.questions > 0
    assert "as fast as it goes" in reader.table([figures])


@whole
def test_the_quota_is_measured_for_each_provider_that_has_one():
    figures = quota.measure(minutes=0.02)
    assert [each.case for each in figures] == [case.name for case in quota.CASES]
    assert [each.messages for each in figures] == [60, 6, 200]
    assert [each.throttled for each in figures] == [0, 0, 0]
    assert all(each.own_time > 0 for each in figures)
    assert quota.table(figures).count("\n") == 1 + len(figures)
