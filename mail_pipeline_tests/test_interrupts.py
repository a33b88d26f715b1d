"""An interrupt is noticed whoever takes it."""

import signal
import threading

from mail_pipeline.interrupts import interrupts_noticed, terminated_like_interrupted


def test_it_is_noticed_where_somebody_else_swallows_it() -> None:
    acted: list[str] = []
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with interrupts_noticed(lambda: acted.append("once")) as interrupted:
            assert not interrupted.is_set()
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert interrupted.is_set()
    assert acted == ["once"]


def test_other_signals_are_none() -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with interrupts_noticed(lambda: None) as interrupted:
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not interrupted.is_set()


def test_a_service_manager_is_heard_too() -> None:
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with interrupts_noticed(lambda: None) as interrupted, terminated_like_interrupted():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)
    assert interrupted.is_set()


def test_what_was_there_before_is_there_again() -> None:
    with interrupts_noticed(lambda: None):
        pass
    assert signal.set_wakeup_fd(-1) == -1


def test_in_another_thread_nothing_is_in_the_way() -> None:
    found: list[bool] = []

    def work() -> None:
        with interrupts_noticed(lambda: None) as interrupted, terminated_like_interrupted():
            found.append(interrupted.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
