"""A thread is what its messages say, as they are now."""

import pytest

from mail_pipeline.simulator import PROVIDERS, Fleet, Limits, MailboxSpec, SimulatedClock, Simulator
from mail_pipeline.simulator.fleet import CACHE_DAYS
from mail_pipeline.simulator.identifiers import IMAP_FAMILY
from mail_pipeline.simulator.rhythm import DAY
from mail_pipeline.simulator.threads import thread


@pytest.mark.parametrize("kind", [*PROVIDERS, "zimbra"])
def test_threads_hold_each_message_that_names_one_once(house, kind):
    grant_id = house.grant_id(kind)
    first = house.simulator.fleet.now - CACHE_DAYS * DAY if kind in IMAP_FAMILY else 0
    expected: dict[str, list[str]] = {}
    for mail in house.simulator.truth(grant_id):
        if "thread_id" in mail and mail["date"] >= first:
            expected.setdefault(mail["thread_id"], []).insert(0, mail["id"])
    listed = house.api.all(grant_id, "threads", limit=7)
    assert len(listed) == len(expected)
    for one in listed:
        drafts, mail = one["draft_ids"], one["message_ids"]
        assert mail == [message_id for message_id in expected[one["id"]] if message_id not in drafts]
        assert set(mail + drafts) == set(expected[one["id"]])


def _mail(number, **fields):
    return {
        "id": f"m{number}",
        "grant_id": "g",
        "thread_id": "t",
        "date": number,
        "folders": ["INBOX"],
        "unread": False,
        "starred": False,
        "from": [{"email": "a@x.example"}],
        "to": [{"email": "me@x.example", "name": "Me"}],
        "snippet": f"s{number}",
        "subject": f"Re: {number}",
        **fields,
    }


def test_a_thread_sums_its_messages_up():
    mail = [
        _mail(1, subject="Lunch", attachments=[{"id": "a"}]),
        _mail(
            2, **{"from": [{"email": "me@x.example", "name": "Me"}]}, to=None, starred=True, folders=["Sent"]
        ),
        _mail(3, unread=True, cc=[{"email": "c@x.example"}]),
        _mail(4, folders=["Drafts"]),
    ]
    assert thread(mail, {"Drafts"}, "me@x.example") == {
        "id": "t",
        "grant_id": "g",
        "object": "thread",
        "subject": "Lunch",
        "snippet": "s4",
        "starred": True,
        "unread": True,
        "has_attachments": True,
        "has_drafts": True,
        "earliest_message_date": 1,
        "latest_message_received_date": 3,
        "latest_message_sent_date": 2,
        "participants": [
            {"email": "a@x.example"},
            {"email": "me@x.example", "name": "Me"},
            {"email": "c@x.example"},
        ],
        "message_ids": ["m1", "m2", "m3"],
        "draft_ids": ["m4"],
        "folders": ["INBOX", "Sent", "Drafts"],
        "latest_draft_or_message": mail[3] | {"object": "draft"},
    }
    assert "latest_message_sent_date" not in thread(mail[:1], set(), "me@x.example")


def test_a_thread_follows_its_messages_and_is_gone_with_the_last(serve):
    fleet = Fleet.generate(0, [MailboxSpec("google", messages=0)])
    served = serve(Simulator(fleet, limits=Limits.off(), clock=SimulatedClock(float(fleet.now)), irregular=0))
    grant_id, provider = served.grant_id("google"), served.simulator.provider
    first = provider.arrive(grant_id, subject="Lunch", unread=False)
    [one] = served.api.all(grant_id, "threads")
    assert (one["message_ids"], one["unread"]) == ([first], False)
    second = provider.arrive(grant_id, answers=first, unread=True)
    [one] = served.api.all(grant_id, "threads")
    assert (one["message_ids"], one["unread"], one["subject"]) == ([first, second], True, "Lunch")
    provider.flag(grant_id, second, unread=False)
    assert served.api.one(grant_id, "threads", one["id"]).json()["data"]["unread"] is False
    provider.delete(grant_id, first)
    provider.delete(grant_id, second)
    assert served.api.all(grant_id, "threads") == []
    assert served.api.one(grant_id, "threads", one["id"]).status_code == 404
