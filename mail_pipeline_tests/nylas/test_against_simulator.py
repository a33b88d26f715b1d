"""The client against the stand-in that the rest of the project is tested with, everything going wrong."""

import pytest

from mail_pipeline.nylas import GrantRejected, Limits, MessageQuery, NotFound, NylasClient
from mail_pipeline.nylas.pacing import IMAP_FAMILY
from mail_pipeline.simulator import (
    API_KEY,
    PROVIDERS,
    TRANSIENT,
    Fault,
    FaultRule,
    Faults,
    Fleet,
    MailboxSpec,
    Simulator,
)
from mail_pipeline.simulator import Limits as Enforced
from mail_pipeline_tests.nylas.scripted import JumpingClock

UNLIMITED = Limits(google_units_per_second=1e6)


def listed(grant, query):
    found: dict[str, dict[str, object]] = {}
    cursor = None
    while True:
        page = grant.messages(query, cursor=cursor, limit=10)
        found |= {record["id"]: record for record in page.records}
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor


def whole_mailbox(grant, provider):
    if provider not in IMAP_FAMILY:
        return listed(grant, MessageQuery())
    folders = [folder["id"] for page in grant.folders() for folder in page.records]
    passes = [MessageQuery(folder, query_imap=True) for folder in folders]
    found: dict[str, dict[str, object]] = {}
    for query in [*passes, MessageQuery()]:
        found |= listed(grant, query)
    return found


def test_every_mailbox_is_read_to_its_first_message_through_every_passing_fault():
    fleet = Fleet.generate(7, [MailboxSpec(provider, messages=150, body_mean=500) for provider in PROVIDERS])
    each = [
        FaultRule(fault, "messages", first=number, seconds=0.01)
        for number, fault in zip(range(2, 999, 3), sorted(TRANSIENT), strict=False)
    ]
    faults = Faults(each, rate=0.2, seed=11, seconds=0.01)
    simulator = Simulator(fleet, faults=faults, limits=Enforced.off(), compress=True)
    with (
        simulator.serve() as uri,
        NylasClient(API_KEY, uri, limits=UNLIMITED, clock=JumpingClock()) as client,
    ):
        client.check()
        grants = [record for page in client.grants() for record in page.records]
        assert [grant["provider"] for grant in grants] == list(PROVIDERS)
        for listing in grants:
            with client.grant(listing["id"], listing["provider"]) as grant:
                found = whole_mailbox(grant, listing["provider"])
            truth = {message["id"]: message for message in simulator.truth(listing["id"])}
            assert found.keys() == truth.keys()
            assert all(found[key].get("body") == truth[key].get("body") for key in truth)
    assert {request.fault for request in simulator.requests} >= {fault.value for fault in TRANSIENT}


@pytest.mark.parametrize(
    ("fault", "error"), [(Fault.GRANT_EXPIRED, GrantRejected), (Fault.FOLDER_GONE, NotFound)]
)
def test_a_grant_or_folder_that_goes_away_is_told_apart(fault, error):
    fleet = Fleet.generate(1, [MailboxSpec("imap", messages=20)])
    simulator = Simulator(fleet, faults=Faults([FaultRule(fault)]))
    grant_id = fleet.mailbox(0).grant.id
    with (
        simulator.serve() as uri,
        NylasClient(API_KEY, uri, clock=JumpingClock()) as client,
        client.grant(grant_id, "imap") as grant,
        pytest.raises(error),
    ):
        grant.messages(MessageQuery("INBOX", query_imap=True))


@pytest.mark.parametrize("provider", ["imap", "microsoft", "google"])
def test_each_message_is_found_again_by_its_id(provider):
    simulator = Simulator(Fleet.generate(3, [MailboxSpec(provider, messages=30)]), limits=Enforced.off())
    grant_id = simulator.fleet.mailbox(0).grant.id
    with (
        simulator.serve() as uri,
        NylasClient(API_KEY, uri, limits=UNLIMITED, clock=JumpingClock()) as client,
        client.grant(grant_id, provider) as grant,
    ):
        for key, record in whole_mailbox(grant, provider).items():
            folder = record["folders"][0] if provider == "imap" and record["folders"] else None
            (again,) = grant.message(key, folder_id=folder, query_imap=folder is not None).records
            assert again["id"] == key
