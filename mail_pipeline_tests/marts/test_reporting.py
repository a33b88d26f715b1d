import pytest

from mail_pipeline.errors import StopRun
from mail_pipeline.marts.reporting import DEFAULT, Reporting


def test_unset_is_utc_and_monday_to_friday_nine_to_five():
    assert Reporting.from_env({}) == Reporting.from_env({"MAIL_PIPELINE_TIME_ZONE": ""}) == DEFAULT
    assert DEFAULT.parameters()["days_before"] == [0, 1, 2, 3, 4, 5, 5, 5]


def test_a_week_may_begin_on_any_day():
    found = Reporting.from_env(
        {"MAIL_PIPELINE_TIME_ZONE": "Asia/Dubai", "MAIL_PIPELINE_BUSINESS_HOURS": "Sun-Thu 08:30-16:00"}
    )
    assert found == Reporting("Asia/Dubai", frozenset({6, 0, 1, 2, 3}), 8 * 3600 + 1800, 16 * 3600)


@pytest.mark.parametrize(
    "text", ["9-17", "mon-fri", "mon-fry 09:00-17:00", "mon-fri 17:00-09:00", "mon-fri 9:00-25:00"]
)
def test_hours_that_make_no_sense_are_named(text):
    with pytest.raises(StopRun, match=r"MAIL_PIPELINE_BUSINESS_HOURS is .*: expected days and hours"):
        Reporting.from_env({"MAIL_PIPELINE_BUSINESS_HOURS": text})
