import time
from email.utils import parsedate_to_datetime

import pytest

from mail_pipeline.simulator import Fleet, MailboxSpec, SimulatedClock, Simulator


def test_a_clock_follows_real_time_and_what_was_jumped_over():
    clock = SimulatedClock(skew=-50.0)
    clock.advance(3_600)
    clock.advance(0.5)

    assert clock.now() == pytest.approx(time.time() - 50 + 3_600.5, abs=5)
    assert clock.advanced == 3_600.5


def test_a_clock_with_a_start_moves_only_when_it_is_advanced():
    clock = SimulatedClock(1_800_000_000.0)
    first = clock.now()
    clock.advance(7.25)

    assert (first, clock.now()) == (1_800_000_000.0, 1_800_000_007.25)


def test_a_clock_is_not_turned_back():
    clock = SimulatedClock(5.0)

    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)

    assert clock.now() == 5.0


def test_whoever_waits_is_told_of_an_advance():
    clock, heard = SimulatedClock(0.0), []
    clock.on_advance(lambda: heard.append(clock.now()))
    clock.advance(3)
    clock.advance(4)

    assert heard == [3.0, 7.0]


def test_the_date_header_new_mail_and_grants_have_the_clocks_time(serve):
    served = serve(Simulator(Fleet.generate(0, [MailboxSpec(messages=3)]), clock=SimulatedClock(1.9e9)))
    served.simulator.clock.advance(60)
    grant_id = served.simulator.provider.connect(MailboxSpec("ews", messages=1))
    message_id = served.simulator.provider.arrive(grant_id)
    answer = served.api.message(grant_id, message_id)

    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == 1.9e9 + 60
    assert answer.json()["data"]["date"] == 1.9e9 + 60
    assert served.api.get(f"/v3/grants/{grant_id}").json()["data"]["created_at"] == 1.9e9 + 60


def test_the_imap_cache_forgets_mail_as_the_clock_is_advanced(serve):
    served = serve(Simulator(Fleet.generate(0, [MailboxSpec("imap", messages=400)])))
    grant_id = served.grant_id("imap")
    before = len(served.api.all(grant_id, limit=200))
    served.simulator.clock.advance(60 * 86_400)

    assert 0 < len(served.api.all(grant_id, limit=200)) < before


def test_a_skew_and_a_clock_do_not_go_together():
    with pytest.raises(ValueError, match="clock_skew"):
        Simulator(Fleet.generate(), clock=SimulatedClock(), clock_skew=3.0)
