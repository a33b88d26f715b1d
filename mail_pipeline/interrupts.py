"""Interrupts, noticed whoever takes them: Dagster and DuckDB turn one into something else, or drop it."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_noticed(act: Callable[[], None]) -> Iterator[threading.Event]:
    """Give an event that is set once SIGINT has come, and call `act` then, on another thread.

    When the block has ended the event is final. Outside the main thread, which signals go to, it stays unset.
    """
    happened = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield happened
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)

    def listen() -> None:
        while number := receiver.recv(1):
            if number[0] == signal.SIGINT and not happened.is_set():
                happened.set()
                act()

    listener = threading.Thread(target=listen, name="interrupts", daemon=True)
    listener.start()
    before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    try:
        yield happened
    finally:
        signal.set_wakeup_fd(before)
        # The listener reads what was sent before it finds the end.
        sender.close()
        listener.join()
        receiver.close()


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does, for the sake of service managers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
