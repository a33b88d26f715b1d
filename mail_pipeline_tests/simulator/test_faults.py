import time
from collections import Counter
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
import pytest
import requests

from mail_pipeline.simulator import (
    SPOILING,
    TRANSIENT,
    Fault,
    FaultRule,
    Faults,
    Fleet,
    Limits,
    MailboxSpec,
    Simulator,
)
from mail_pipeline.simulator.faults import LASTING, Facts

FLEET = Fleet.generate(0, [MailboxSpec(messages=120, body_mean=800), MailboxSpec("imap", messages=120)])
GOOGLE, IMAP = (mailbox.grant.id for mailbox in FLEET)


@pytest.fixture
def faulty(serve):
    def start(*rules, **options):
        faults = Faults(rules, **options)
        return serve(Simulator(FLEET, faults=faults, limits=Limits.off(), irregular=0))

    return start


def _one(faulty, fault, **rule):
    """Serve with one fault at the first message list; return the faulty answer and the one after it."""
    served = faulty(FaultRule(fault, operation="messages", **rule))
    return served, served.api.mail(GOOGLE, limit=20), served.api.mail(GOOGLE, limit=20)


def test_every_fault_is_of_one_kind():
    assert set(Fault) == TRANSIENT | SPOILING | LASTING
    assert len(TRANSIENT) + len(SPOILING) + len(LASTING) == len(Fault)


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (Fault.TOO_MANY_SECONDS, 429, "rate_limit_error"),
        (Fault.TOO_MANY_DATE, 429, "rate_limit_error"),
        (Fault.TOO_MANY, 429, "nylas_rate_limit_exceeded"),
        (Fault.QUOTA_TEXT, 429, "quota_exceeded_error"),
        (Fault.QUOTA_FORBIDDEN, 403, "provider_error"),
        (Fault.INTERNAL, 500, "api.internal_error"),
        (Fault.BAD_GATEWAY, 502, "provider_error"),
        (Fault.UNAVAILABLE, 503, "provider_error"),
        (Fault.TIMEOUT, 504, "api.provider_error"),
        (Fault.GRANT_EXPIRED, 401, "api.authentication_error"),
    ],
)
def test_an_error_comes_in_the_envelope_and_goes_when_asked_again(faulty, fault, status, kind):
    served, bad, good = _one(faulty, fault)
    assert bad.status_code == status
    assert bad.json()["error"]["type"] == kind
    assert bad.json()["request_id"] == bad.headers["x-request-id"]
    assert good.status_code == 200
    assert [(r.status, r.fault, r.count) for r in served.simulator.requests] == [
        (status, fault.value, 0),
        (200, None, 20),
    ]


def test_retry_after_comes_in_seconds_as_a_date_in_the_text_or_not_at_all(faulty):
    _, bad, _ = _one(faulty, Fault.TOO_MANY_SECONDS, seconds=7.0)
    assert bad.headers["Retry-After"] == "7"
    _, bad, _ = _one(faulty, Fault.TOO_MANY_DATE, seconds=7.0)
    until, now = (parsedate_to_datetime(bad.headers[name]) for name in ("Retry-After", "Date"))
    assert 6 <= (until - now).total_seconds() <= 9
    _, bad, _ = _one(faulty, Fault.QUOTA_TEXT, seconds=7.0)
    assert "Retry after 20" in bad.json()["error"]["message"]
    assert "Retry-After" not in bad.headers
    _, bad, _ = _one(faulty, Fault.TOO_MANY)
    assert "Retry-After" not in bad.headers


@pytest.mark.parametrize(("fault", "status"), [(Fault.HTML_ERROR, 502), (Fault.HTML_OK, 200)])
def test_a_web_page_comes_instead_of_json(faulty, fault, status):
    _, bad, _ = _one(faulty, fault)
    assert bad.status_code == status
    assert bad.headers["Content-Type"] == "text/html"
    assert bad.text.startswith("<html>")


@pytest.mark.parametrize(("fault", "status"), [(Fault.EMPTY_ERROR, 503), (Fault.EMPTY_OK, 200)])
def test_an_empty_body_comes(faulty, fault, status):
    _, bad, _ = _one(faulty, fault)
    assert (bad.status_code, bad.content) == (status, b"")


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.RESET_MIDWAY, Fault.CLOSED_MIDWAY])
def test_the_connection_ends_too_early(faulty, fault):
    served = faulty(FaultRule(fault, operation="messages"))
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        served.api.mail(GOOGLE)
    assert served.api.mail(GOOGLE).status_code == 200
    first, second = served.simulator.requests
    assert (first.status, first.fault) == (0 if fault is Fault.RESET else 200, fault.value)
    assert (second.status, second.fault) == (200, None)


def test_a_connection_cut_midway_had_promised_the_whole_body(faulty):
    served = faulty(FaultRule(Fault.CLOSED_MIDWAY, operation="messages"))
    answer = served.api.session.get(f"{served.api.url}/v3/grants/{GOOGLE}/messages", stream=True, timeout=10)
    promised = int(answer.headers["Content-Length"])
    assert promised > 1024
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        answer.content  # noqa: B018 - reading it is what fails


@pytest.mark.parametrize("fault", [Fault.TRUNCATED, Fault.MALFORMED])
def test_json_that_does_not_parse_comes_under_a_length_that_fits(faulty, fault):
    _, bad, good = _one(faulty, fault)
    assert bad.status_code == 200
    assert len(bad.content) == int(bad.headers["Content-Length"])
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(bad.content)
    assert len(good.json()["data"]) == 20


def test_a_slow_drip_is_slow_and_whole(faulty):
    _, bad, good = _one(faulty, Fault.DRIP, seconds=0.4)
    assert bad.json()["data"] == good.json()["data"]
    served = faulty(FaultRule(Fault.DRIP, operation="messages", seconds=0.4))
    begin = time.monotonic()
    assert served.api.mail(GOOGLE).json()["data"]
    assert time.monotonic() - begin >= 0.3


def test_a_page_lacks_data_or_has_another_kind_of_it(faulty):
    _, bad, _ = _one(faulty, Fault.NO_DATA)
    assert set(bad.json()) == {"request_id", "next_cursor"}
    _, bad, _ = _one(faulty, Fault.DATA_NOT_LIST)
    assert isinstance(bad.json()["data"], str)


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        (Fault.RECORD_NOT_OBJECT, lambda record: not isinstance(record, dict)),
        (Fault.RECORD_WITHOUT_ID, lambda record: "id" not in record),
        (Fault.DATE_NOT_NUMBER, lambda record: record["date"] == "yesterday"),
        (Fault.SUBJECT_NOT_TEXT, lambda record: record.get("subject") == {}),
        (Fault.TO_NOT_LIST, lambda record: isinstance(record["to"], str)),
        (Fault.LONE_SURROGATE, lambda record: "\ud800" in record.get("body", "")),
    ],
)
def test_one_record_of_the_page_is_spoiled_and_named_in_the_log(faulty, fault, wrong):
    served, bad, good = _one(faulty, fault)
    records = zip(bad.json()["data"], good.json()["data"], strict=True)
    different = [(spoiled, true) for spoiled, true in records if spoiled != true]
    ((spoiled, true),) = different
    assert wrong(spoiled)
    assert served.simulator.requests[0].spoiled == (true["id"],)
    assert served.simulator.requests[1].spoiled == ()


STREAMS: dict[str, dict[str, Any]] = {
    "contacts": {"source": "address_book"},
    "calendars": {},
    "events": {"calendar_id": "primary", "start": 0, "end": 4_000_000_000},
    "events/import": {"calendar_id": "primary", "start": 0, "end": 4_000_000_000},
    "threads": {},
}


@pytest.mark.parametrize("fault", sorted(SPOILING))
@pytest.mark.parametrize("what", STREAMS)
def test_a_record_of_any_stream_can_be_spoiled(faulty, what, fault):
    operation = what.replace("/", "_")
    served = faulty(FaultRule(fault, operation=operation))
    path = f"/v3/grants/{GOOGLE}/{what}"
    bad, good = (served.api.get(path, **STREAMS[what], limit=9) for _ in range(2))
    if Facts(operation, GOOGLE, None, None, 9, "").allows(fault):
        different = [
            true
            for spoiled, true in zip(bad.json()["data"], good.json()["data"], strict=True)
            if spoiled != true
        ]
        assert [record["id"] for record in different] == list(served.simulator.requests[0].spoiled)
        assert len(different) == 1
    else:
        assert (what, bad.json()["data"]) == ("calendars", good.json()["data"])


@pytest.mark.parametrize("what", ["contacts", "events", "threads"])
def test_records_of_any_stream_are_repeated_at_a_pages_edge(faulty, what):
    served = faulty(FaultRule(Fault.REPEATED_RECORDS, operation=what))
    pages = list(served.api.pages(GOOGLE, what, **STREAMS[what], limit=5))
    assert pages[1]["data"][:3] == pages[0]["data"][-3:]
    ids = [record["id"] for page in pages for record in page["data"]]
    assert len(ids) == len(set(ids)) + 3


def test_one_calendar_answers_404_and_the_others_do_not(faulty):
    primary, other = (calendar["id"] for calendar in Simulator(FLEET).truth(GOOGLE, "calendars"))
    served = faulty(FaultRule(Fault.CALENDAR_GONE, calendar_id=other, times=None))
    path = f"/v3/grants/{GOOGLE}/events"
    assert [served.api.get(path, calendar_id=one).status_code for one in (other, primary, other)] == [
        404,
        200,
        404,
    ]
    assert served.api.one(GOOGLE, "calendars", other).status_code == 200


def test_a_lone_surrogate_is_one_on_the_wire(faulty):
    _, bad, _ = _one(faulty, Fault.LONE_SURROGATE)
    assert rb"\ud800" in bad.content
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(bad.content)


def test_records_are_repeated_at_a_pages_edge(faulty):
    served = faulty(FaultRule(Fault.REPEATED_RECORDS))
    pages = list(served.api.pages(GOOGLE, limit=30))
    assert pages[1]["data"][:3] == pages[0]["data"][-3:]
    ids = [message["id"] for page in pages for message in page["data"]]
    truth = [message["id"] for message in served.simulator.truth(GOOGLE)]
    assert len(ids) > len(set(ids))
    assert list(dict.fromkeys(ids)) == truth
    assert [r.fault for r in served.simulator.requests].count(Fault.REPEATED_RECORDS.value) == 1


def test_a_cursor_is_repeated(faulty):
    served = faulty(FaultRule(Fault.REPEATED_CURSOR))
    token = served.api.mail(GOOGLE, limit=30).json()["next_cursor"]
    assert served.api.mail(GOOGLE, limit=30, page_token=token).json()["next_cursor"] == token


def test_a_cursor_expires(faulty):
    served = faulty(FaultRule(Fault.CURSOR_EXPIRED, first=2))
    first = served.api.mail(GOOGLE, limit=30).json()["next_cursor"]
    second = served.api.mail(GOOGLE, limit=30, page_token=first)
    assert second.status_code == 200
    refused = served.api.mail(GOOGLE, limit=30, page_token=second.json()["next_cursor"])
    assert refused.status_code == 400
    assert "page_token" in refused.json()["error"]["message"]


def test_one_grant_expires_at_its_nth_request_for_ever_and_the_others_do_not(faulty):
    served = faulty(FaultRule(Fault.GRANT_EXPIRED, grant_id=GOOGLE, first=3, times=None))
    assert [served.api.mail(GOOGLE, limit=1).status_code for _ in range(5)] == [200, 200, 401, 401, 401]
    assert served.api.mail(IMAP, limit=1).status_code == 200
    assert served.api.get("/v3/grants").status_code == 200


def test_one_folder_answers_404(faulty):
    served = faulty(FaultRule(Fault.FOLDER_GONE, folder_id="a/b", times=None))
    assert served.api.mail(IMAP, folder="a/b", query_imap="true").status_code == 404
    assert served.api.mail(IMAP, folder="INBOX", query_imap="true").status_code == 200
    assert served.api.get(f"/v3/grants/{IMAP}/folders/a%2Fb").status_code == 404
    assert served.api.mail(IMAP, limit=1).status_code == 200


def test_a_timeout_is_cured_by_a_smaller_page(faulty):
    served = faulty(FaultRule(Fault.TIMEOUT, limit_over=25, times=None))
    assert [served.api.mail(GOOGLE, limit=limit).status_code for limit in (100, 50, 25)] == [504, 504, 200]
    assert served.api.mail(GOOGLE).status_code == 504


def test_faults_reach_grants_and_folders_too(faulty):
    served = faulty(
        FaultRule(Fault.INTERNAL, operation="grants"),
        FaultRule(Fault.MALFORMED, operation="folders", first=2),
    )
    assert [served.api.get("/v3/grants").status_code for _ in range(2)] == [500, 200]
    assert served.api.get(f"/v3/grants/{GOOGLE}/folders").json()["data"]
    with pytest.raises(requests.exceptions.JSONDecodeError):
        served.api.get(f"/v3/grants/{GOOGLE}/folders").json()


def test_the_first_rule_that_matches_wins_and_each_counts_for_itself():
    faults = Faults([FaultRule(Fault.BAD_GATEWAY, times=2), FaultRule(Fault.TIMEOUT, first=2, times=2)])
    facts = Facts("messages", "g", None, None, 50, "key")
    found = [faults.decide(facts) for _ in range(4)]
    assert [injection and injection.fault for injection in found] == [
        Fault.BAD_GATEWAY,
        Fault.BAD_GATEWAY,
        Fault.TIMEOUT,
        None,
    ]


def _decisions(faults, keys, times=20):
    def decide(key):
        injection = faults.decide(Facts("messages", "g", None, "t", 50, key))
        return None if injection is None else injection.fault

    return [(key, decide(key)) for _ in range(times) for key in keys]


def test_a_rate_follows_from_the_seed_and_not_from_the_order_of_arrival():
    keys = [f"key {number}" for number in range(40)]
    forwards = _decisions(Faults(rate=0.3, seed=1), keys)
    assert forwards == _decisions(Faults(rate=0.3, seed=1), keys)
    assert Counter(forwards) == Counter(_decisions(Faults(rate=0.3, seed=1), keys[::-1]))
    assert forwards != _decisions(Faults(rate=0.3, seed=2), keys)


def test_a_rate_is_met_and_uses_every_kind():
    found = [fault for _, fault in _decisions(Faults(rate=0.2), [f"key {n}" for n in range(400)])]
    share = sum(fault is not None for fault in found) / len(found)
    assert 0.17 < share < 0.21
    assert {fault for fault in found if fault} == TRANSIENT


@pytest.mark.parametrize("in_a_row", [1, 2, 5])
def test_no_request_fails_more_often_in_a_row_than_allowed(in_a_row):
    found = [fault for _, fault in _decisions(Faults(rate=1.0, in_a_row=in_a_row), ["key"], 60)]
    expected = [fault is None for fault in found]
    assert expected == [number % (in_a_row + 1) == in_a_row for number in range(60)]


def test_a_client_that_repeats_its_requests_gets_the_truth_through_all_transient_faults(faulty):
    served = faulty(rate=0.6, seed=3, seconds=0.02)

    def page(token):
        params = {"limit": 9} | ({"page_token": token} if token else {})
        for _ in range(12):
            try:
                response = served.api.mail(GOOGLE, **params)
                envelope = response.json() if response.status_code == 200 else {}
            except (requests.RequestException, ValueError):
                continue
            if isinstance(envelope.get("data"), list):
                return envelope
        pytest.fail("the request kept failing")

    token: str | None = None
    seen: dict[str, Any] = {}
    while token is None or token:
        envelope = page(token)
        seen.update((message["id"], message) for message in envelope["data"])
        token = envelope.get("next_cursor") or ""
    assert seen == {message["id"]: message for message in served.simulator.truth(GOOGLE)}
    faults = [request.fault for request in served.simulator.requests if request.fault]
    assert len(set(faults)) > 5
