import threading
import time

import pytest

from mail_pipeline.nylas import Cancelled, Clock


def test_cancel_ends_a_wait_under_way_at_once():
    clock = Clock()
    waiting = threading.Event()
    ended: list[Exception] = []

    def wait_for_an_hour():
        waiting.set()
        try:
            clock.wait(3600)
        except Cancelled as error:
            ended.append(error)

    thread = threading.Thread(target=wait_for_an_hour)
    thread.start()
    assert waiting.wait(5)
    clock.cancel()
    thread.join(5)
    assert not thread.is_alive()
    assert "Start it again" in str(ended[0])


def test_cancel_ends_the_wait_for_a_slot():
    clock = Clock()
    taken = threading.Semaphore(0)
    clock.cancel()
    with pytest.raises(Cancelled):
        clock.acquire(taken)


def test_a_cancelled_clock_refuses_every_wait_to_come():
    clock = Clock()
    clock.cancel()
    with pytest.raises(Cancelled):
        clock.wait(0)


def test_a_wait_lasts_as_long_as_asked_by_its_own_monotonic_time():
    clock = Clock()
    before = clock.monotonic()
    clock.wait(0.02)
    assert clock.monotonic() - before >= 0.019


def test_time_is_the_wall_clock():
    assert abs(Clock().time() - time.time()) < 5
