"""The overview: numbers and plots of what there is, and nothing of anybody's mail."""

import base64

import dagster as dg

from mail_pipeline import connect
from mail_pipeline.simulator import MailboxSpec

from .conftest import Start
from .running import keys_of, newest, register, run_job

SPEC = MailboxSpec("google", messages=40, body_mean=200, contacts=5, events=8)


def test_the_overview_counts_what_is_stored_and_plots_it(start: Start, instance: dg.DagsterInstance, data):
    grants = register(instance, start(SPEC))
    assert run_job(instance, "backfill", keys_of(instance)).success
    assert run_job(instance, "mirror", grants).success
    assert run_job(instance, "refresh_overview").success

    told = newest(instance, "overview")
    assert told["messages"] == 40
    assert (told["mailboxes"], told["mailboxes_complete"], told["mailboxes_red"]) == (1, 1, 0)
    assert (told["contacts"], told["events"], told["dead_letters"]) == (5, 8, 0)
    assert told["seconds_since_newest_word"] >= 0
    plots = [str(told[name]) for name in told if name.endswith(("_month", "_provider", "_state"))]
    assert len(plots) == 3
    shown = "".join(base64.b64decode(plot.partition("base64,")[2].rstrip(")")).decode() for plot in plots)
    assert "google: 40" in shown
    assert "complete: 1" in shown
    with connect(data) as lake:
        personal = lake.execute(
            "SELECT email FROM grants UNION SELECT address FROM message_participants WHERE address <> ''"
        ).fetchall()
    assert not [address for (address,) in personal if address and address in shown + str(told)]
