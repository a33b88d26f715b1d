"""The run config is the engine's options, with a description of each field."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.config import ApplyConfig, BackfillConfig, MirrorConfig, ReconcileConfig
from mail_pipeline.sync.apply import Replay
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


@pytest.mark.parametrize("days", [0, 36_501, 10**12])
def test_days_that_no_calendar_has_are_refused(days):
    with pytest.raises(ValueError, match="days"):
        ReconcileConfig(days=days)


def test_nothing_set_means_everything():
    assert BackfillConfig().options() == BackfillOptions()


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        (BackfillConfig, {"since", "max_pages", "full_resync", "page_size"}),
        (MirrorConfig, {"since", "max_pages", "full_resync", "page_size"}),
        (ApplyConfig, {"replay"}),
        (ReconcileConfig, {"grant", "since", "days", "providers", "gaps_only"}),
    ],
)
def test_each_field_is_described(config, fields):
    assert {name for name, field in config.model_fields.items() if field.description} == fields
    assert set(config.model_fields) == fields


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        (None, None),
        ("", None),
        ("dead", Replay()),
        ("everything", Replay(everything=True)),
        ("17", Replay(numbers=(17,))),
        ("message.updated", Replay(type="message.updated")),
    ],
)
def test_what_to_replay_is_one_word(text, choice):
    assert ApplyConfig(replay=text).choice() == choice


def test_a_date_wins_over_a_number_of_days():
    assert ReconcileConfig(since="2024-01-31", days=7).bound() == datetime(2024, 1, 31, tzinfo=UTC)
    assert ReconcileConfig(since="", days=None).bound() is None
    week = ReconcileConfig(days=7).bound()
    assert week is not None
    assert timedelta(days=7) <= datetime.now(UTC) - week < timedelta(days=8)


@pytest.mark.parametrize("text", ["12x", "updated", "message.updated; x", "Message.Updated"])
def test_what_cannot_be_replayed_names_what_can(text):
    with pytest.raises(ValueError, match="expected dead, everything, a number, or a type"):
        ApplyConfig(replay=text)
