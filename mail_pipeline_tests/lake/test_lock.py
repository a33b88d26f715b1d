import multiprocessing
import os
import signal
import threading
from multiprocessing.synchronize import Event
from pathlib import Path

from mail_pipeline.lake.lock import WriteLock
from mail_pipeline.lake.writer import Lake

SPAWN = multiprocessing.get_context("spawn")


def hold(path: Path, held: Event) -> None:
    with WriteLock(path).held():
        held.set()
        signal.pause()


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path):
    path = tmp_path / "write.lock"
    held = SPAWN.Event()
    holder = SPAWN.Process(target=hold, args=(path, held))
    holder.start()
    assert held.wait(60)
    taken = threading.Event()

    def take() -> None:
        with WriteLock(path).held():
            taken.set()

    waiting = threading.Thread(target=take)
    waiting.start()
    assert not taken.wait(0.3)
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    waiting.join(30)
    assert taken.is_set()


def test_two_threads_of_one_lake_do_not_hold_it_at_once(lake: Lake):
    inside: list[int] = []
    most: list[int] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(20):
            with lake.locked():
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80
    assert max(most) == 1
