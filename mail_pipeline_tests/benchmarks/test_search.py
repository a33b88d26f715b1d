from benchmarks import search
from mail_pipeline_tests.benchmarks.whole import whole


@whole
def test_each_step_is_measured():
    figures = search.measure(messages=1_000, known=2_000)

    assert [each.messages for each in figures[:2]] == [1_000, 1_000]
    assert figures[-1].step == "nothing new among 2,000"
    assert figures[-1].messages == 0
    asked = {each.step: each.messages for each in figures if each.step.startswith("asking")}
    assert len(asked) == 5
    assert all(found > 0 for found in asked.values())
    assert all(each.cpu > 0 for each in figures if each.step != "the lake itself")
    assert all(each.index_mb > 0 for each in figures)
    assert search.table(figures).count("\n") == 1 + len(figures)
