"""A list that goes on while the mailbox changes, and the numbers a folder says it holds."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_pipeline.simulator import PROVIDERS, Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline.simulator.cursors import Cursors
from mail_pipeline.simulator.provider import Provider
from mail_pipeline.simulator.service import Service
from mail_pipeline.simulator.world import World


def _nobody(_: object) -> None:
    pass


def _truth(world: World) -> dict[str, dict[str, object]]:
    (mailbox,) = world
    return {record["id"]: record for record in mailbox.records()}


@settings(max_examples=50)
@given(st.data(), st.integers(0, 60), st.integers(1, 9), st.sampled_from(["google", "microsoft", "ews"]))
def test_a_list_under_way_neither_skips_nor_repeats_what_did_not_change(data, messages, limit, kind):
    fleet = Fleet.generate(messages, [MailboxSpec(kind, messages=messages, body_mean=10)])
    world = World(fleet)
    (mailbox,) = world
    provider, service = Provider(world, _nobody), Service(world, Cursors("secret"), irregular=0.4)
    life = provider.live(data.draw(st.integers(0, 1_000)))
    before, seen, touched = _truth(world), [], set()
    params = {"limit": str(limit)}
    while True:
        answer = service.messages(mailbox, "path", params, 0.0).envelope
        seen += answer["data"]
        if not answer.get("next_cursor"):
            break
        params["page_token"] = answer["next_cursor"]
        for _ in range(data.draw(st.integers(0, 3))):
            touched.add(next(life).object_id)
    after = _truth(world)

    # What was deleted and brought back may rightly be missing.
    unchanged = {key for key, record in before.items() if after.get(key) == record and key not in touched}
    counted = Counter(record["id"] for record in seen)
    assert {key: counted[key] for key in unchanged} == dict.fromkeys(unchanged, 1)
    assert [record["id"] for record in seen if record["id"] in unchanged] == [
        key for key in before if key in unchanged
    ]


@settings(max_examples=40)
@given(st.integers(0, 1_000), st.sampled_from(PROVIDERS), st.integers(1, 60))
def test_folders_say_what_they_hold_after_any_changes(seed, kind, steps):
    world = World(Fleet.generate(seed, [MailboxSpec(kind, messages=80, body_mean=10)]))
    (mailbox,) = world
    life = Provider(world, _nobody).live(seed)
    for _ in range(steps):
        next(life)

    total, unread = Counter[str](), Counter[str]()
    for record in mailbox.records():
        total.update(record["folders"])
        unread.update(record["folders"] if record["unread"] else ())
    expected = {folder.id: (total[folder.id], unread[folder.id]) for folder in mailbox.folders}
    assert mailbox.counts() == (None if kind == "yahoo" else expected)
    assert set(total) <= set(expected)


@settings(max_examples=40)
@given(st.integers(0, 1_000), st.sampled_from(PROVIDERS), st.integers(1, 60))
def test_every_message_is_found_by_its_id_alone_after_any_changes(seed, kind, steps):
    world = World(Fleet.generate(seed, [MailboxSpec(kind, messages=30, body_mean=10)]))
    (mailbox,) = world
    ever = {record["id"] for record in mailbox.records()}
    life = Provider(world, _nobody).live(seed)
    for _ in range(steps):
        step = next(life)
        if not step.operation.endswith("folder"):
            ever.add(step.object_id)

    there = _truth(world)
    assert [record["id"] for record in mailbox.records()] == [
        mailbox.message(number)["id"] for number in reversed(range(len(mailbox)))
    ]
    assert len(there) == len(mailbox)
    dates = [mailbox.date(number) for number in range(len(mailbox))]
    assert dates == sorted(dates)
    for message_id in ever | set(there):
        number = mailbox.find(message_id)
        assert (number is not None) is (message_id in there)
        if number is not None:
            assert mailbox.message(number) == there[message_id]
            assert mailbox.folders_of(number) == tuple(there[message_id]["folders"])  # type: ignore[arg-type]


def test_a_cursor_at_mail_a_restarted_simulator_never_saw_is_refused(serve):
    def fresh():
        return Simulator(
            Fleet.generate(0, [MailboxSpec("ews", messages=2)]), limits=Limits.off(), irregular=0
        )

    first, second = serve(fresh()), serve(fresh())
    grant_id = first.grant_id("ews")
    for _ in range(3):
        first.simulator.provider.arrive(grant_id)
    token = first.api.mail(grant_id, limit=1).json()["next_cursor"]

    assert first.api.mail(grant_id, limit=1, page_token=token).status_code == 200
    assert second.api.mail(grant_id, limit=1, page_token=token).status_code == 400


@pytest.mark.parametrize("kind", ["imap", "google"])
def test_new_mail_has_a_message_id_header(serve, kind):
    served = serve(Simulator(Fleet.generate(0, [MailboxSpec(kind, messages=1)])))
    grant_id = served.grant_id(kind)
    message_id = served.simulator.provider.arrive(grant_id)
    record = served.api.message(grant_id, message_id, fields="include_basic_headers").json()["data"]

    [header] = record["headers"]
    assert header["name"] == "Message-ID"
    assert (header["value"] == message_id) is (kind == "imap")


def test_the_truth_is_that_of_the_moment_it_was_asked_for():
    simulator = Simulator(Fleet.generate(0, [MailboxSpec(messages=5)]))
    grant_id = next(iter(simulator.fleet)).grant.id
    records = simulator.truth(grant_id)
    simulator.provider.arrive(grant_id)

    assert len(list(records)) == 5
    assert len(list(simulator.truth(grant_id))) == 6
