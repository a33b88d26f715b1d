"""`grants` and `folders`: what their pages say."""

import dagster as dg

from mail_pipeline import connect
from mail_pipeline.simulator import MailboxSpec

from .running import newest, run_job


def test_a_refresh_counts_what_it_found_and_tells_nothing_personal(start, instance, data):
    google = MailboxSpec("google", messages=5)
    imap = MailboxSpec("imap", messages=5, user_folders=0)
    simulator = start(google, imap, MailboxSpec("ews", messages=5, valid=False))

    assert run_job(instance, "refresh_accounts").success

    with connect(data) as lake:
        [(grants, addresses)] = lake.execute("SELECT count(*), list(email) FROM grants").fetchall()
        [(folders,)] = lake.execute("SELECT count(*) FROM folders").fetchall()
    said = newest(instance, "grants")
    assert said["dagster/row_count"] == grants == 3
    assert (said["valid"], said["new"], said["vanished"], said["returned"]) == (2, 3, 0, 0)
    assert said["by_provider"] == {"google": 1, "imap": 1, "ews": 1}
    assert newest(instance, "folders")["dagster/row_count"] == folders > 0
    assert not [each for each in addresses if each in str(said) + str(newest(instance, "folders"))]

    simulator.vanish(simulator.fleet.mailbox(0).grant.id)
    assert run_job(instance, "refresh_accounts").success
    assert (newest(instance, "grants")["new"], newest(instance, "grants")["vanished"]) == (0, 1)


def test_a_wrong_key_fails_the_run_with_the_next_step_and_stores_nothing(start, instance, data, monkeypatch):
    start(MailboxSpec("google", messages=5))
    monkeypatch.setenv("NYLAS_API_KEY", "nyk_wrong")

    outcome = run_job(instance, "refresh_accounts")

    assert not outcome.success
    assert "NYLAS_API_KEY" in outcome.said
    assert "nyk_wrong" not in outcome.said
    assert instance.get_latest_materialization_event(dg.AssetKey("grants")) is None
