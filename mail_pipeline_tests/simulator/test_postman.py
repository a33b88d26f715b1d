"""Three tries, the codes that are tried again, webhooks that stop, and what disorder does."""

from collections import Counter
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from mail_pipeline.simulator import Disorder, Fleet, Limits, MailboxSpec, SimulatedClock, Simulator
from mail_pipeline_tests.simulator.receiver import Receiver

START = 1.8e9
HOUR = 3_600


class Post:
    """A simulator that nobody serves: the clock stands still, a webhook takes all a mirror needs."""

    def __init__(self, receiver: Receiver, disorder: Disorder | None = None) -> None:
        fleet = Fleet.generate(0, [MailboxSpec("microsoft", messages=5)])
        clock = SimulatedClock(START)
        self.simulator = Simulator(fleet, limits=Limits.off(), clock=clock, disorder=disorder)
        self.clock, self.postman, self.provider = clock, self.simulator.postman, self.simulator.provider
        self.grant_id = fleet.mailbox(0).grant.id
        self.receiver = receiver
        self.webhook = self.simulator.webhooks.find(receiver.subscribe(self.simulator))

    def arrive(self, count: int = 1) -> list[str]:
        return [self.provider.arrive(self.grant_id) for _ in range(count)]

    def states(self) -> list[str]:
        return [one.state for one in self.simulator.notifications]


@pytest.fixture
def post(receiver):
    return lambda disorder=None: Post(receiver, disorder)


def test_nothing_is_sent_before_it_is_delivered(post, receiver):
    p = post()
    p.arrive(3)
    assert receiver.take() == []
    assert (p.postman.waiting, p.postman.deliver(), p.postman.deliver()) == (3, 3, 0)
    assert len(receiver.take()) == 3
    assert p.states() == ["delivered"] * 3


def test_without_disorder_notifications_leave_in_the_order_of_the_changes(post, receiver):
    p = post()
    ids = p.arrive(30)
    p.postman.deliver()
    assert [one.object["id"] for one in receiver.take()] == ids


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504, 507])
def test_passing_trouble_is_tried_three_times_under_one_id(post, receiver, status):
    p = post()
    receiver.answer = lambda _: status
    p.arrive()
    assert p.postman.drain() == 3
    came = [one.envelope for one in receiver.take()]

    assert [one["webhook_delivery_attempt"] for one in came] == [1, 2, 3]
    assert len({one["id"] for one in came}) == 1
    [notification] = p.simulator.notifications
    assert notification.state == "exhausted"
    assert [one.at - START for one in notification.tries] == [0, 120, 900]
    assert [one.status for one in notification.tries] == [status] * 3


@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 404, 410, 413, 500, 501])
def test_every_other_answer_is_final(post, receiver, status):
    p = post()
    receiver.answer = lambda _: status
    p.arrive()

    assert p.postman.drain() == 1
    assert p.states() == ["refused"]
    assert p.clock.now() == START


def test_a_second_try_that_is_taken_is_the_last(post, receiver):
    p = post()
    receiver.answer = lambda one: 503 if one.envelope["webhook_delivery_attempt"] == 1 else 200
    p.arrive()
    p.postman.deliver()
    assert (p.states(), p.postman.deliver()) == (["waiting"], 0)
    p.clock.advance(119)
    assert p.postman.deliver() == 0
    p.clock.advance(1)
    assert p.postman.deliver() == 1
    assert p.states() == ["delivered"]


@pytest.mark.parametrize(
    "retry_after", ["300", format_datetime(datetime.fromtimestamp(START + 300, UTC), usegmt=True)]
)
def test_a_429_is_tried_again_when_it_says(post, receiver, retry_after):
    p = post()
    first = (429, {"Retry-After": retry_after})
    receiver.answer = lambda one: first if one.envelope["webhook_delivery_attempt"] == 1 else 200
    p.arrive()
    p.postman.drain()

    [notification] = p.simulator.notifications
    assert [one.at - START for one in notification.tries] == [0, 300]


def test_a_retry_after_nobody_can_read_is_left_aside(post, receiver):
    p = post()
    receiver.answer = lambda _: (429, {"Retry-After": "soon"})
    p.arrive()
    p.postman.drain()
    assert [one.at - START for one in p.simulator.notifications[0].tries] == [0, 120, 900]


def test_nobody_there_is_tried_three_times_too(post, receiver):
    p = post()
    p.webhook.url = "http://127.0.0.1:9/"
    p.arrive()
    p.postman.drain()

    [notification] = p.simulator.notifications
    assert [one.status for one in notification.tries] == [None] * 3
    assert notification.tries[0].error == "ConnectionError"
    assert notification.state == "exhausted"


def test_a_paused_webhook_gets_nothing_then_or_later(post, receiver):
    p = post()
    p.arrive()
    p.simulator.webhooks.update(p.webhook.id, {"status": "pause"})
    p.arrive()
    assert p.postman.drain() == 0
    p.simulator.webhooks.update(p.webhook.id, {"status": "active"})
    assert p.postman.drain() == 0
    [later] = p.arrive()
    p.postman.drain()

    assert [one.object["id"] for one in receiver.take()] == [later]
    assert p.states() == ["stopped", "delivered"]


def test_a_deleted_webhook_gets_nothing_more(post, receiver):
    p = post()
    p.arrive()
    p.simulator.webhooks.delete(p.webhook.id)
    assert p.postman.drain() == 0
    assert p.states() == ["stopped"]


def test_each_webhook_is_told_under_the_same_id(post, receiver):
    p = post()
    second = {"trigger_types": ["message.created"], "webhook_url": receiver.url + "/2"}
    p.simulator.webhooks.create(second)
    p.arrive()
    p.postman.deliver()
    came = receiver.take()

    assert len(came) == 2
    assert len({one.envelope["id"] for one in came}) == 1


def test_a_receiver_that_is_down_makes_its_webhook_failing_and_then_failed(post, receiver):
    p = post()
    receiver.answer = lambda _: 503
    statuses = []
    for _ in range(75):
        p.arrive()
        p.postman.drain()
        statuses.append(p.webhook.status)
        p.clock.advance(HOUR)

    assert statuses[0] == "failing"
    assert list(dict.fromkeys(statuses)) == ["failing", "failed"]
    assert p.webhook.status_updated_at >= START + 72 * HOUR
    before = len(receiver.take())
    p.arrive()
    assert (p.postman.drain(), len(receiver.take())) == (0, 0)
    assert before > 150

    receiver.answer = lambda _: 200
    p.simulator.webhooks.update(p.webhook.id, {"status": "active"})
    assert p.postman.drain() == 0
    [fresh] = p.arrive()
    p.postman.drain()
    assert [one.object["id"] for one in receiver.take()] == [fresh]
    assert p.webhook.status == "active"


def test_a_failing_webhook_still_gets_all_and_recovers(post, receiver):
    p = post()
    receiver.answer = lambda _: 503
    p.arrive()
    p.postman.drain()
    assert p.webhook.status == "failing"
    receiver.answer = lambda _: 200
    p.arrive()
    p.postman.drain()
    assert p.states() == ["exhausted", "delivered"]
    assert p.webhook.status == "active"


def shuffled(post, disorder):
    p = post(disorder)
    ids = p.arrive(60)
    p.postman.drain()
    order = [one.object["id"] for one in p.receiver.take()]
    return [ids.index(message_id) for message_id in order]


def test_reordered_notifications_are_all_there_in_an_order_the_seed_gives(post):
    first = shuffled(post, Disorder(seed=1, reorder=1.0))
    assert sorted(first) == list(range(60))
    assert first != sorted(first)
    assert shuffled(post, Disorder(seed=1, reorder=1.0)) == first
    assert shuffled(post, Disorder(seed=2, reorder=1.0)) != first


def test_some_are_doubled_under_the_same_id(post, receiver):
    p = post(Disorder(seed=3, duplicate=0.5))
    ids = p.arrive(60)
    p.postman.deliver()
    came = receiver.take()
    times = Counter(one.envelope["id"] for one in came)

    assert set(times.values()) == {1, 2}
    assert len(times) == 60
    assert {one.object["id"] for one in came} == set(ids)


def test_some_come_again_under_another_id(post, receiver):
    p = post(Disorder(seed=3, again=0.5))
    p.arrive(60)
    p.postman.deliver()
    came = receiver.take()

    assert len({one.envelope["id"] for one in came}) == len(came) > 70
    assert set(Counter(one.object["id"] for one in came).values()) == {1, 2}


def test_merging_sends_created_with_updated_and_created_for_updated(post, receiver):
    p = post(Disorder(merge=1.0))
    [message_id] = p.arrive()
    p.postman.deliver()
    assert receiver.types() == ["message.created", "message.updated"]
    p.provider.flag(p.grant_id, message_id, unread=False)
    p.postman.deliver()
    [one] = receiver.take()
    assert (one.type, one.object["unread"]) == ("message.created", False)
    assert "attachments" in one.object


def test_what_is_dropped_never_comes(post, receiver):
    p = post(Disorder(seed=5, drop=0.5))
    p.arrive(60)
    p.postman.drain()
    states = Counter(p.states())

    assert set(states) == {"delivered", "dropped"}
    assert len(receiver.take()) == states["delivered"]
    assert 15 < states["dropped"] < 45


def test_delayed_notifications_come_after_later_ones(post, receiver):
    p = post(Disorder(delay=1.0, delay_seconds=600))
    [late] = p.arrive()
    p.postman.disorder = Disorder()
    [early] = p.arrive()
    p.postman.deliver()
    assert [one.object["id"] for one in receiver.take()] == [early]
    p.clock.advance(600)
    p.postman.deliver()
    assert [one.object["id"] for one in receiver.take()] == [late]


def test_a_notification_can_be_sent_once_more(post, receiver):
    p = post()
    p.arrive()
    p.postman.deliver()
    p.postman.redeliver(p.simulator.notifications[0])
    p.postman.deliver()
    first, second = receiver.take()
    assert first.body == second.body


def test_a_burst_in_parallel_loses_nothing(post, receiver):
    p = post()
    p.postman.parallel = 16
    ids = p.arrive(300)
    assert p.postman.drain() == 300
    assert sorted(one.object["id"] for one in receiver.take()) == sorted(ids)


def test_in_the_background_changes_are_told_of_at_once_and_retries_when_the_clock_reaches_them(
    post, receiver
):
    p = post()
    receiver.answer = lambda one: 503 if one.envelope["webhook_delivery_attempt"] == 1 else 200
    p.postman.start()
    p.postman.start()
    try:
        p.arrive()
        receiver.wait_for(1)
        p.clock.advance(120)
        receiver.wait_for(2)
    finally:
        p.postman.stop()
    assert p.states() == ["delivered"]
    p.arrive()
    assert (p.postman.waiting, len(receiver.take())) == (1, 2)


def test_a_live_simulator_sends_while_it_is_served(receiver):
    simulator = Simulator(Fleet.generate(0, [MailboxSpec(messages=1)]), live=True)
    with simulator.serve():
        receiver.subscribe(simulator)
        simulator.provider.arrive(simulator.fleet.mailbox(0).grant.id)
        receiver.wait_for(1)
    assert receiver.types() == ["message.created"]
