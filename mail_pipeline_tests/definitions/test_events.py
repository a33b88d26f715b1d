"""How often a mailbox at work is reported: as news, not as a flood."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from mail_pipeline.assets.mail import messages
from mail_pipeline.sync.backfill import MailboxProgress

from .running import observations

STARTED = datetime(2026, 1, 1, tzinfo=UTC)


def progress(key: str, seconds: float, state: str = "listing", **known) -> MailboxProgress:
    told = {
        "state": state,
        "updated_at": STARTED + timedelta(seconds=seconds),
        "folder_name": None,
        "pages": 0,
        "rate": 0,
        "eta_seconds": None,
        "held_until": None,
        "reason": None,
        "next_step": None,
    }
    return MailboxProgress(
        partition_key=key,
        grant_id=key,
        provider="google",
        folder_id=None,
        cursor=None,
        messages=0,
        ids_seen=0,
        oldest=None,
        newest=None,
        reported=None,
        started_at=STARTED,
        requests=0,
        body_bytes=0,
        quota_units=0,
        dead_letters=0,
        subscribed=False,
        **{**told, **known},
    )


class Scripted:
    """An engine that reports what it is told to."""

    def __init__(self, running: list[MailboxProgress], ended: list[MailboxProgress]) -> None:
        self._running = running
        self._ended = ended

    def backfill(self, keys, options, on_progress) -> Iterator[MailboxProgress]:
        for mailbox in self._running:
            on_progress(mailbox)
        yield from self._ended


def run(instance, keys, engine) -> dg.ExecuteInProcessResult:
    instance.add_dynamic_partitions("mailboxes", keys)
    return dg.materialize(
        [messages],
        instance=instance,
        resources={"mail_pipeline": engine},
        raise_on_error=False,
        tags={"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]},
    )


def test_a_mailbox_at_work_is_observed_at_most_once_in_ten_seconds(instance):
    moments = [1, 9.9, 10, 11, 19.9, 20.1, 20.2, 35, 44.9, 45]
    running = [progress(key, second, pages=int(second)) for second in moments for key in ("a", "b")]
    engine = Scripted(running, [progress(key, 46, "complete") for key in ("a", "b")])

    assert run(instance, ["a", "b"], engine).success

    for key in ("a", "b"):
        assert [said["pages"] for said in observations(instance, key)] == [45, 35, 20, 10]


def test_an_observation_tells_how_far_how_fast_and_what_it_waits_for(instance):
    held = STARTED + timedelta(minutes=1)
    mailbox = progress("a", 10, rate=12.34, eta_seconds=61.7, held_until=held, folder_name="Entwürfe")

    run(instance, ["a"], Scripted([mailbox], [progress("a", 11, "complete")]))

    [said] = observations(instance, "a")
    assert said["messages_per_second"] == 12.3
    assert said["eta_seconds"] == 62
    assert said["held_by_quota_until"] == held.timestamp()
    assert said["folder"] == "Entwürfe"


def test_a_run_with_many_failures_names_some_and_keeps_all_in_a_table(instance):
    keys = [f"grant-{number}" for number in range(8)]
    ended = [progress(key, 1, "paused", reason="Quota spent.", next_step="Wait.") for key in keys]

    result = run(instance, keys, Scripted([], ended))

    [failed] = result.get_step_failure_events()
    failure = failed.step_failure_data.user_failure_data
    assert failure is not None
    said = failure.description or ""
    assert said.startswith("8 of 8 mailboxes did not get through.")
    assert "grant-4 (paused): Quota spent. Wait" in said
    assert "grant-5" not in said
    table = failure.metadata["mailboxes"]
    assert isinstance(table, dg.TableMetadataValue)
    records = table.records
    assert [record.data["partition"] for record in records] == keys
