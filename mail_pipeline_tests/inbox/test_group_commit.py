"""What waits is stored in groups, in order, once, and nothing waits without bounds."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.errors import StopRun
from mail_pipeline.inbox.group_commit import Commit, GroupCommit, QueueFull, Stopping
from mail_pipeline.inbox.landing import Delivery


def delivery(size: int = 1, name: int = 0) -> Delivery:
    return Delivery(float(name), {}, bytes(size))


class Store:
    """Keeps groups; may be held, and may fail."""

    def __init__(self, *, fails: Sequence[bool] = ()) -> None:
        self.groups: list[list[Delivery]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.began = threading.Semaphore(0)
        self._fails = list(fails)

    def __call__(self, deliveries: Sequence[Delivery]) -> None:
        self.began.release()
        self.may_go_on.wait(30)
        if self._fails and self._fails.pop(0):
            raise StopRun("The disk is full")
        self.groups.append(list(deliveries))


def made(store: Store, *, most_waiting: int = 10_000, most_bytes: int = 10**9) -> GroupCommit:
    return GroupCommit(store, most_waiting=most_waiting, most_bytes=most_bytes, on_commit=lambda _: None)


async def begun(store: Store) -> None:
    await asyncio.to_thread(store.began.acquire)


def test_what_waits_during_a_commit_is_the_next_group():
    async def run() -> None:
        store.may_go_on.clear()
        queue = made(store)
        first = asyncio.create_task(queue.store(delivery(name=0)))
        await begun(store)
        rest = [asyncio.create_task(queue.store(delivery(name=number))) for number in range(1, 50)]
        await asyncio.sleep(0)
        assert queue.deliveries == queue.body_bytes == 50
        store.may_go_on.set()
        await asyncio.gather(first, *rest)
        assert queue.deliveries == queue.body_bytes == 0
        await queue.close()

    store = Store()
    asyncio.run(run())

    assert [[each.received_at for each in group] for group in store.groups] == [
        [0.0],
        [*map(float, range(1, 50))],
    ]


def test_a_group_is_bounded_in_number_and_bytes():
    async def run() -> None:
        queue = made(store)
        await asyncio.gather(*(queue.store(delivery()) for _ in range(2_500)))
        await asyncio.gather(*(queue.store(delivery(10 * 2**20)) for _ in range(3)))
        await queue.close()

    store = Store()
    asyncio.run(run())

    assert [len(group) for group in store.groups] == [1_000, 1_000, 500, 2, 1]


def test_more_than_may_wait_is_refused_at_once():
    async def run() -> None:
        store.may_go_on.clear()
        queue = made(store, most_waiting=3, most_bytes=100)
        tasks = [asyncio.create_task(queue.store(delivery(40))) for _ in range(2)]
        await begun(store)
        with pytest.raises(QueueFull):
            await queue.store(delivery(21))
        tasks.append(asyncio.create_task(queue.store(delivery(20))))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await queue.store(delivery(0))
        store.may_go_on.set()
        await asyncio.gather(*tasks)
        await queue.store(delivery(100))
        await queue.close()

    store = Store()
    asyncio.run(run())

    assert [len(each.body) for group in store.groups for each in group] == [40, 40, 20, 100]


def test_closing_stores_what_waits_and_refuses_the_rest():
    async def run() -> None:
        store.may_go_on.clear()
        queue = made(store)
        tasks = [asyncio.create_task(queue.store(delivery())) for _ in range(5)]
        await begun(store)
        closing = asyncio.create_task(queue.close())
        await asyncio.sleep(0)
        with pytest.raises(Stopping):
            await queue.store(delivery())
        store.may_go_on.set()
        await closing
        assert all(task.done() for task in tasks)
        await asyncio.gather(*tasks)

    store = Store()
    asyncio.run(run())

    assert sum(map(len, store.groups)) == 5


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5)), min_size=1, max_size=10))
def test_each_is_told_what_became_of_its_own_group(groups: list[tuple[bool, int]]):
    async def run() -> list[bool]:
        told = []
        queue = GroupCommit(store, most_waiting=99, most_bytes=99, on_commit=commits.append)
        for fails, count in groups:
            results = await asyncio.gather(
                *(queue.store(delivery()) for _ in range(count)), return_exceptions=True
            )
            assert len({type(result) for result in results}) == 1
            assert all(isinstance(result, StopRun) == fails for result in results)
            told += [result is None for result in results]
        await queue.close()
        return told

    store = Store(fails=[fails for fails, _ in groups])
    commits: list[Commit] = []
    told = asyncio.run(run())

    assert told.count(True) == sum(map(len, store.groups))
    assert [(commit.error is not None, commit.deliveries) for commit in commits] == groups


def test_a_sender_that_gave_up_does_not_disturb_its_group():
    async def run() -> None:
        store.may_go_on.clear()
        queue = made(store)
        leaves = asyncio.create_task(queue.store(delivery(name=1)))
        stays = asyncio.create_task(queue.store(delivery(name=2)))
        await begun(store)
        leaves.cancel()
        store.may_go_on.set()
        await stays
        with pytest.raises(asyncio.CancelledError):
            await leaves
        await queue.close()

    store = Store()
    asyncio.run(run())

    assert [each.received_at for group in store.groups for each in group] == [1.0, 2.0]
