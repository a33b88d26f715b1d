from benchmarks import quota, reader


def test_reading_is_measured_in_pairs_at_both_paces():
    figures = reader.measure(messages=400, rounds=1)
    assert [each.pace for each in figures] == list(reader.PACES)
    assert all(each.wall_ratio == each.wall_read / each.wall_alone for each in figures)
    assert sum(each.questions for each in figures) > 0
    assert reader.table(figures).count("\n") == 1 + len(figures)


def test_the_quota_is_measured_for_each_provider_that_has_one():
    figures = quota.measure(minutes=0.02)
    assert [each.case for each in figures] == [case.name for case in quota.CASES]
    assert [each.messages for each in figures] == [60, 6, 200]
    assert [each.throttled for each in figures] == [0, 0, 0]
    assert all(each.own_time > 0 for each in figures)
    assert quota.table(figures).count("\n") == 1 + len(figures)
