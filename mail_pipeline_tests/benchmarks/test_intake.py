from benchmarks import intake


def test_both_receivers_are_measured_in_turn():
    figures = intake.measure(seconds=0.5, rounds=1, connections=8)

    assert [each.case for each in figures] == list(intake.CASES)
    assert [each.other_answers for each in figures] == [0, 0]
    assert all(0 < each.p50 <= each.p99 for each in figures)
    assert figures[0].rate_over_bare == 1
    assert figures[1].rate_over_bare == figures[1].rate / figures[0].rate
    assert intake.table(figures).count("\n") == 1 + len(figures)


def test_a_burst_lands_whole():
    result = intake.burst(2_000)

    assert (result.sent, result.answered_200, result.landed) == (2_000, 2_000, 2_000)
    assert result.seconds > 0
