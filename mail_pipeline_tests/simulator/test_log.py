import hashlib

import orjson
import pytest

from mail_pipeline.simulator import Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline.simulator.log import LoggedRequest, RequestLog


@pytest.fixture
def served(serve, tmp_path):
    fleet = Fleet.generate(0, [MailboxSpec(messages=60), MailboxSpec("imap", messages=60)])
    return serve(Simulator(fleet, limits=Limits.off(), irregular=0, log_file=tmp_path / "requests.jsonl"))


def test_a_request_is_logged_before_its_answer_arrives(served):
    grant_id = served.grant_id("imap")
    answer = served.api.mail(grant_id, folder="INBOX", query_imap="true", limit=5)
    (entry,) = served.simulator.requests
    dates = [message["date"] for message in answer.json()["data"]]
    assert entry == LoggedRequest(
        number=1,
        time=entry.time,
        client=entry.client,
        method="GET",
        path=f"/v3/grants/{grant_id}/messages",
        operation="messages",
        grant_id=grant_id,
        folder_id="INBOX",
        query_imap=True,
        page_token=None,
        limit=5,
        status=200,
        count=5,
        first_date=dates[0],
        last_date=dates[-1],
        fault=None,
        limited=None,
        spoiled=(),
        query={"in": "INBOX", "query_imap": "true", "limit": "5"},
    )
    token = answer.json()["next_cursor"]
    served.api.mail(grant_id, folder="INBOX", query_imap="true", limit=5, page_token=token)
    assert served.simulator.requests[1].page_token == token


def test_refused_and_unknown_requests_are_logged_too(served):
    grant_id = served.grant_id("google")
    served.api.get("/v3/threads")
    served.api.mail("nobody")
    served.api.mail(grant_id, limit="many")
    served.api.message(grant_id, "a/b")
    entries = served.simulator.requests
    assert [entry.status for entry in entries] == [404, 404, 400, 404]
    assert [entry.operation for entry in entries] == ["", "messages", "messages", "message"]
    assert [entry.grant_id for entry in entries] == [None, None, grant_id, grant_id]
    assert entries[3].path.endswith("/messages/a%2Fb")


def test_a_grant_asked_for_by_address_is_logged_by_id(served):
    mailbox = served.simulator.fleet.mailbox(0)
    served.api.mail(mailbox.grant.email)
    assert served.simulator.requests[0].grant_id == mailbox.grant.id


def test_requests_of_one_connection_are_told_from_anothers(served):
    with type(served.api)(served.api.url) as other:
        for api in (served.api, other, served.api):
            api.get("/v3/grants")
    first, second, third = (entry.client for entry in served.simulator.requests)
    assert first == third != second


def test_the_file_gets_every_request_as_a_line(served, tmp_path):
    for _ in range(3):
        served.api.get("/v3/grants")
    lines = (tmp_path / "requests.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line)["number"] for line in lines] == [1, 2, 3]


def test_another_process_reads_the_log_without_a_key(served):
    served.api.get("/v3/grants")
    served.api.mail(served.grant_id("google"), limit=7)
    del served.api.session.headers["Authorization"]
    entries = served.api.get("/simulator/requests").json()
    assert [(entry["operation"], entry["count"]) for entry in entries] == [("grants", 2), ("messages", 7)]
    assert served.api.get("/simulator/requests", after=1).json() == entries[1:]
    assert served.api.get("/simulator/requests", after="x").status_code == 400
    assert len(served.simulator.requests) == 2


def test_another_process_reads_the_truth(served):
    grant_id = served.grant_id("imap")
    lines = served.api.get(f"/simulator/truth/{grant_id}").content.splitlines()
    assert [orjson.loads(line) for line in lines] == list(served.simulator.truth(grant_id))
    assert served.api.get("/simulator/truth/nobody").status_code == 404
    bodies = [message.get("body") for message in served.simulator.truth(grant_id)]
    assert len({hashlib.sha256(body.encode()).digest() for body in bodies if body}) > 50


def test_the_truth_of_an_unknown_grant_is_an_error(served):
    with pytest.raises(KeyError):
        served.simulator.truth("nobody")


def test_a_log_without_a_file_keeps_entries_in_order():
    log = RequestLog()
    assert [log.next_number() for _ in range(3)] == [1, 2, 3]
    assert log.entries() == []
