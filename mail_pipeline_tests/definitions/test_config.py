"""The run config is the engine's options, with a description of each field."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.config import BackfillConfig
from mail_pipeline.sync.backfill import BackfillOptions

zones = st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-23 * 60, 23 * 60))
options = st.builds(
    BackfillOptions,
    since=st.none() | st.datetimes(timezones=zones),
    max_pages=st.none() | st.integers(min_value=1),
    full_resync=st.booleans(),
    page_size=st.none() | st.integers(1, 200),
)


@given(options)
def test_options_survive_the_way_through_the_run_config(asked):
    assert BackfillConfig(**BackfillConfig.of(asked).model_dump()).options() == asked


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-31", datetime(2024, 1, 31, tzinfo=UTC)),
        ("2024-01-31T09:00:00+01:00", datetime(2024, 1, 31, 8, tzinfo=UTC)),
        ("", None),
    ],
)
def test_a_date_without_an_offset_is_utc_and_nothing_is_everything(text, moment):
    assert BackfillConfig(since=text).options().since == moment


def test_nothing_set_means_everything():
    assert BackfillConfig().options() == BackfillOptions()


def test_each_field_is_described():
    assert {name: bool(field.description) for name, field in BackfillConfig.model_fields.items()} == {
        "since": True,
        "max_pages": True,
        "full_resync": True,
        "page_size": True,
    }
