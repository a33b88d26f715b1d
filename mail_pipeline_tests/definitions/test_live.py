"""What keeps mail current, as Dagster shows it: runs that apply, watch and reconcile, and what they tell."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mail_pipeline.launch import sync_partitions
from mail_pipeline.simulator import Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.cli.test_reconcile import failed
from mail_pipeline_tests.live.envelopes import (
    GRANT,
    NOW,
    apply_offline,
    envelope,
    know,
    land,
    outcomes,
    whole,
)
from mail_pipeline_tests.live.near import NearWorld, near_world

from .conftest import working_in
from .running import keys_of, newest, observations, run_job

SPECS = [
    MailboxSpec("google", messages=30, body_mean=300),
    MailboxSpec("imap", messages=20, body_mean=300, user_folders=0),
]


@dataclass(frozen=True)
class Followed:
    """Two mailboxes that were backfilled after a webhook was there, and Dagster beside them."""

    instance: dg.DagsterInstance
    world: NearWorld
    google: str
    imap: str

    def run(self, job: str, **config: Any) -> bool:
        return run_job(self.instance, job, **config).success

    def deliver(self) -> None:
        self.world.simulator.postman.drain()

    def message(self, grant_id: str) -> str:
        return str(next(iter(self.world.simulator.truth(grant_id)))["id"])


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    data = tmp_path_factory.mktemp("followed") / "data"
    simulator = Simulator(Fleet.generate(5, SPECS), limits=Limits.off())
    with ExitStack() as stack:
        stack.enter_context(working_in(data))
        world = stack.enter_context(near_world(simulator, data))
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in world.environment().items():
            environment.setenv(name, value)
        instance = stack.enter_context(dg.DagsterInstance.ephemeral())
        world.follow()
        world.register()
        sync_partitions(instance, data)
        world.backfill()
        yield Followed(instance, world, world.grant_id("google"), world.grant_id("imap"))


def test_a_run_applies_what_has_landed_and_tells_how_much(followed):
    provider = followed.world.simulator.provider
    provider.delete(followed.google, followed.message(followed.google))
    new = provider.arrive(followed.google, subject="Lunch?")
    provider.flag(followed.google, new, unread=False)
    provider.arrive(followed.imap, subject="Dinner?")
    followed.deliver()
    land(followed.world.data, [b"not JSON", envelope("thread.replied", NOW, grant_id=followed.google)])

    assert followed.run("apply_notifications")

    assert followed.world.wrong() == {}
    said = newest(followed.instance, "message_updates")
    table = {(row["trigger"], row["outcome"]): row["notifications"] for row in said["by_trigger"]}
    assert table["unreadable", "dead"] == table["thread.replied", "kept"] == 1
    assert table["message.deleted", "applied"] == 1
    assert said["notifications"] == said["applied_up_to"] == sum(table.values())
    assert (said["dead"], said["mailboxes"], said["waiting_to_be_fetched"]) == (1, 2, 0)


def test_the_mailboxes_that_were_touched_say_so_and_no_others(followed):
    before = {key: len(observations(followed.instance, key)) for key in keys_of(followed.instance)}
    followed.world.simulator.provider.arrive(followed.imap, subject="Breakfast?")
    followed.deliver()

    assert followed.run("apply_notifications")

    touched = {key for key, count in before.items() if len(observations(followed.instance, key)) > count}
    # Which folder it is in, a notification of IMAP mail does not have to tell.
    assert touched == {f"{followed.imap}/@recent"}
    assert observations(followed.instance, f"{followed.imap}/@recent")[0]["notifications_applied"] >= 1


def test_nothing_personal_is_told(followed):
    followed.world.simulator.provider.arrive(followed.google, subject="A secret of ours")
    followed.deliver()
    assert followed.run("apply_notifications")

    told = str(newest(followed.instance, "message_updates")) + str(
        [observations(followed.instance, key) for key in keys_of(followed.instance)]
    )
    assert "secret of ours" not in told
    assert "@example" not in told


def test_a_run_with_nothing_to_apply_is_a_success_that_says_zero(followed):
    assert followed.run("apply_notifications")
    assert followed.run("apply_notifications")

    said = newest(followed.instance, "message_updates")
    assert said["notifications"] == said["mailboxes"] == said["fetched"] == 0
    assert said["applied_up_to"] > 0
    assert "by_trigger" not in said


def test_replaying_everything_leaves_the_tables_as_they_are(followed):
    assert followed.run("apply_notifications")
    before = followed.world.stored()

    assert followed.run("apply_notifications", replay="everything")

    with followed.world.landing() as landing:
        assert newest(followed.instance, "message_updates")["notifications"] == landing.count()
    assert followed.world.stored() == before


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which two notifications are dead, one is kept and one is applied."""
    data = tmp_path_factory.mktemp("letters") / "data"
    know(data, GRANT)
    kept = envelope("thread.replied", NOW, {"id": "t1"})
    land(data, [b"not JSON", b"{}", kept, envelope("message.created", NOW, whole("m1"))])
    apply_offline(data)
    return data


@pytest.mark.parametrize(
    ("replay", "taken"), [("dead", 3), ("thread.replied", 1), ("2", 1), ("4", 1), ("5", 0), ("", 0)]
)
def test_a_run_replays_what_it_is_told_to(start, instance, letters, monkeypatch, replay, taken):
    monkeypatch.setenv("MAIL_PIPELINE_DATA", str(letters))
    before = outcomes(letters)
    assert [outcome for outcome, _ in before] == ["dead", "dead", "kept", "applied"]

    assert run_job(instance, "apply_notifications", replay=replay).success

    assert newest(instance, "message_updates")["notifications"] == taken
    assert outcomes(letters) == before


def test_what_was_dead_for_an_unknown_grant_is_replayed_once_it_is_known(start, instance, data):
    land(data, [envelope("message.created", NOW, whole("m1"))])
    assert run_job(instance, "apply_notifications").success
    assert newest(instance, "message_updates")["dead"] == 1

    know(data, GRANT)
    assert run_job(instance, "apply_notifications", replay="dead").success

    assert outcomes(data) == [("applied", None)]
    assert newest(instance, "message_updates")["dead"] == 0


def test_a_look_at_the_webhooks_tells_whether_notifications_arrive(followed):
    simulator = followed.world.simulator
    [webhook] = simulator.webhooks
    followed.world.beat()
    assert followed.run("watch_webhooks")
    said = newest(followed.instance, "webhooks")
    assert (said["dagster/row_count"], said["active"], said["receiving"]) == (1, True, True)
    before = said["open_gaps"]

    simulator.webhooks.update(webhook.id, {"status": "pause"})
    assert followed.run("watch_webhooks")

    said = newest(followed.instance, "webhooks")
    assert (said["active"], said["new_gaps"], said["open_gaps"]) == (False, 1, before + 1)

    simulator.webhooks.update(webhook.id, {"status": "active"})
    assert followed.run("watch_webhooks")
    assert newest(followed.instance, "webhooks")["active"] is True
    assert followed.run("reconcile", gaps_only=True)
    said = newest(followed.instance, "reconciliations")
    assert (said["grants"], said["open_gaps"]) == (2, 0)


@pytest.mark.parametrize(
    ("config", "grants"),
    [
        ({}, 2),
        ({"grant": "{google}"}, 1),
        ({"providers": ["imap", "yahoo"]}, 1),
        ({"days": 7}, 2),
        ({"since": "2020-01-31"}, 2),
        ({"since": "", "days": 3650, "grant": "{imap}"}, 1),
        ({"gaps_only": True}, 0),
    ],
    ids=str,
)
def test_a_reconciliation_takes_the_mailboxes_it_is_told_to(followed, config, grants):
    ids = {"google": followed.google, "imap": followed.imap}
    told = {name: value.format(**ids) if name == "grant" else value for name, value in config.items()}
    # Where nothing is told, the sweep of everything: no run config at all.
    assert followed.run("reconcile", **told)

    said = newest(followed.instance, "reconciliations")
    assert said["grants"] == grants
    everything = len(followed.world.stored())
    # A message of IMAP is listed by its folder, and by the list without a folder where it is recent.
    assert (said["listed"] < everything) if config.get("days") == 7 else bool(said["listed"]) is bool(grants)
    assert said["waiting_to_be_fetched"] == said["open_gaps"] == 0


def test_a_reconciliation_mends_what_no_notification_told_of(followed):
    simulator = followed.world.simulator
    [webhook] = simulator.webhooks
    simulator.webhooks.update(webhook.id, {"status": "pause"})
    simulator.provider.delete(followed.google, followed.message(followed.google))
    simulator.provider.arrive(followed.google, subject="Unheard of")
    followed.deliver()
    simulator.webhooks.update(webhook.id, {"status": "active"})
    assert len(followed.world.wrong()) == 2

    assert followed.run("reconcile", grant=followed.google)

    said = newest(followed.instance, "reconciliations")
    assert (said["unknown"], said["missing"]) == (1, 1)
    assert followed.world.wrong() == {}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"since": "yesterday"}, "since is 'yesterday': expected a date such as 2024-01-31"),
        ({"days": 0}, "greater than or equal to 1"),
        ({"grant": "nobody"}, "There is no grant nobody"),
    ],
    ids=str,
)
def test_a_wrong_choice_is_named_with_what_was_expected(followed, config, expected):
    outcome = run_job(followed.instance, "reconcile", **config)

    assert not outcome.success
    assert expected in outcome.said


def test_a_grant_that_does_not_get_through_fails_the_run_and_not_the_others(followed):
    provider = followed.world.simulator.provider
    provider.expire(followed.imap)
    try:
        outcome = run_job(followed.instance, "reconcile")
    finally:
        provider.reauthenticate(followed.imap)
        followed.deliver()
        followed.run("apply_notifications")

    assert not outcome.success
    assert "1 of 2 grants were not reconciled" in outcome.said
    assert followed.imap in outcome.said
    assert "reconnect" in outcome.said.lower()
    swept = followed.world.ask("SELECT DISTINCT grant_id FROM reconciliations")
    assert (followed.google,) in swept


def test_a_grant_of_which_several_lists_fail_is_one_that_was_not_reconciled(followed, monkeypatch):
    words = [(stream, failed(followed.google)) for stream in ("contacts", "calendars", "events")]
    monkeypatch.setattr("mail_pipeline.sync.reconcile._relist", lambda *_: words)

    outcome = run_job(followed.instance, "reconcile")

    assert not outcome.success
    assert "1 of 2 grants were not reconciled" in outcome.said
    assert f"{followed.google}: calendars: The owner said no" in outcome.said


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize("job", ["watch_webhooks", "reconcile"])
def test_without_a_key_a_run_says_what_to_set(instance, job):
    outcome = run_job(instance, job)

    assert not outcome.success
    assert "NYLAS_API_KEY is not set" in outcome.said


@pytest.mark.parametrize("job", ["watch_webhooks", "reconcile"])
def test_a_wrong_key_fails_a_run_with_the_next_step(start, instance, monkeypatch, job):
    start(MailboxSpec("google", messages=1))
    monkeypatch.setenv("NYLAS_API_KEY", "nyk_wrong")

    outcome = run_job(instance, job)

    assert not outcome.success
    assert "NYLAS_API_KEY" in outcome.said
    assert "nyk_wrong" not in outcome.said


@pytest.mark.usefixtures("start")
def test_a_landing_table_that_cannot_be_read_fails_the_run_and_says_which_file(instance, data):
    land(data, [b"{}"])
    (data / "inbox.sqlite").write_bytes(b"not a database" * 1_000)

    outcome = run_job(instance, "apply_notifications")

    assert not outcome.success
    assert "inbox.sqlite" in outcome.said


@pytest.mark.usefixtures("start")
def test_a_landing_table_of_another_lake_is_told_apart(instance, data):
    know(data, GRANT)
    land(data, [envelope("message.created", NOW, whole("m1")), b"{}"])
    apply_offline(data)
    for path in data.glob("inbox.sqlite*"):
        path.unlink()

    outcome = run_job(instance, "apply_notifications")

    assert not outcome.success
    assert "older than the lake" in outcome.said
    assert "Put back the inbox.sqlite" in outcome.said


@pytest.mark.usefixtures("start")
def test_the_nightly_upkeep_keeps_all_that_was_applied(instance, data):
    know(data, GRANT)
    for number in range(3):
        land(data, [envelope("message.created", NOW, whole(f"m{number}"))])
        apply_offline(data)
    before = outcomes(data)

    assert run_job(instance, "upkeep").success

    assert outcomes(data) == before == [("applied", None)] * 3
