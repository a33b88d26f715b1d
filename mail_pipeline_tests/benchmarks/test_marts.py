from pathlib import Path

from benchmarks import marts, questions
from mail_pipeline_tests.benchmarks.whole import whole


@whole
def test_a_refresh_is_compared_with_a_build_and_every_kind_of_question_is_asked(tmp_path: Path):
    data = tmp_path / "data"

    figures = marts.measure(2_000, 20, 1, data)

    assert [each.messages for each in figures] == [2_000, 0, 20]
    assert figures[0].rows_written > figures[2].rows_written > figures[1].rows_written == 0
    assert marts.table(figures).count("\n") == 1 + len(figures)

    asked = questions.measure(data, 1, ["volume_heatmap", "timeline_of_a_person"])

    assert asked[0].rows > 0
    assert all(each.quiet > 0 and each.written > 0 for each in asked)
    assert questions.table(asked).count("\n") == 1 + len(asked)
