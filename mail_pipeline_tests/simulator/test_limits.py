from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.simulator import Fleet, Latency, Limits, MailboxSpec, Simulator
from mail_pipeline.simulator.limits import Meter, Window
from mail_pipeline.simulator.mailboxes import Grant
from mail_pipeline.simulator.problems import ApiError


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 60)), max_size=60))
def test_a_window_never_holds_more_than_its_budget(steps):
    window, now, spent = Window(60.0, 100.0), 0, []
    for pause, amount in steps:
        now += pause
        wait = window.spend(amount, now)
        if wait == 0:
            spent.append((now, amount))
            assert sum(part for moment, part in spent if moment > now - 60) <= 100
        else:
            assert 0 < wait <= 60
            assert sum(part for moment, part in spent if moment > now - 60) + amount > 100


def test_a_window_says_when_there_is_room_again():
    window = Window(60.0, 100.0)
    assert [window.spend(50, 0.0), window.spend(50, 10.0)] == [0.0, 0.0]
    wait = window.spend(60, 20.0)
    assert wait == 50.0
    assert window.spend(60, 20.0 + wait) == 0.0


def test_what_exceeds_the_whole_budget_passes_when_nothing_else_was_spent():
    window = Window(60.0, 100.0)
    assert window.spend(1_000, 0.0) == 0.0
    assert window.spend(1, 59.0) > 0
    assert window.spend(1, 60.0) == 0.0


def _google(serve, limits, messages=700):
    fleet = Fleet.generate(0, [MailboxSpec(messages=messages, body_mean=10)])
    served = serve(Simulator(fleet, limits=limits, irregular=0))
    return served, served.grant_id("google")


def test_google_pages_cost_a_list_and_a_get_per_message(serve):
    served, grant_id = _google(serve, Limits())
    page = served.api.mail(grant_id, limit=200)
    assert page.headers["Nylas-Gmail-Quota-Usage"] == "1005"
    assert page.headers["Nylas-Provider-Request-Count"] == "201"
    one = served.api.message(grant_id, page.json()["data"][0]["id"])
    assert one.headers["Nylas-Gmail-Quota-Usage"] == "5"


def test_new_google_projects_pay_four_times_as_much(serve):
    served, grant_id = _google(serve, Limits.new_google_project())
    assert served.api.mail(grant_id, limit=200).headers["Nylas-Gmail-Quota-Usage"] == "4005"
    assert served.api.mail(grant_id, limit=200).status_code == 429


def test_google_refuses_over_a_minutes_budget_and_says_until_when(serve):
    served, grant_id = _google(serve, Limits(google_units_per_second=50.0))
    statuses = [served.api.mail(grant_id, limit=200, select="id").status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    refused = served.api.mail(grant_id, limit=200)
    error = refused.json()["error"]
    assert error["type"] == "quota_exceeded_error"
    until = datetime.fromisoformat(error["message"].rpartition("Retry after ")[2])
    assert 0 < (until - datetime.now(UTC)).total_seconds() <= 60
    assert "Nylas-Gmail-Quota-Usage" not in refused.headers
    # What is cheap enough still passes: a refusal spends nothing.
    assert served.api.mail(grant_id, limit=100).status_code == 200
    assert Counter(request.limited for request in served.simulator.requests) == {None: 3, "google-units": 2}


def test_googles_refusal_can_come_as_403(serve):
    served, grant_id = _google(serve, Limits(google_units_per_second=20.0, google_status=403))
    served.api.mail(grant_id, limit=200)
    refused = served.api.mail(grant_id, limit=200)
    assert refused.status_code == 403
    reason = refused.json()["error"]["provider_error"]["error"]["errors"][0]["reason"]
    assert reason == "userRateLimitExceeded"


def test_each_google_mailbox_has_its_own_budget(serve):
    fleet = Fleet.generate(0, [MailboxSpec(messages=300, body_mean=10)] * 2)
    served = serve(Simulator(fleet, limits=Limits(google_units_per_second=20.0), irregular=0))
    for mailbox in fleet:
        assert served.api.mail(mailbox.grant.id, limit=200).status_code == 200


def _at_once(served, grant_id, calls):
    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(lambda _: served.api.mail(grant_id, limit=1), range(calls)))


@pytest.mark.parametrize(
    ("provider", "in_flight", "status", "name"),
    [("microsoft", 4, 429, "microsoft-in-flight"), ("imap", 1, 503, "imap-in-flight")],
)
def test_too_many_at_once_are_refused(serve, provider, in_flight, status, name):
    fleet = Fleet.generate(0, [MailboxSpec(provider, messages=20)])
    served = serve(Simulator(fleet, latency=Latency(base=0.5)))
    grant_id = served.grant_id(provider)
    answers = Counter(response.status_code for response in _at_once(served, grant_id, in_flight + 2))
    assert answers == {200: in_flight, status: 2}
    assert [r.limited for r in served.simulator.requests if r.status != 200] == [name] * 2
    assert served.api.mail(grant_id, limit=1).status_code == 200


def test_microsofts_refusal_names_mailbox_concurrency(serve):
    fleet = Fleet.generate(0, [MailboxSpec("microsoft", messages=20)])
    served = serve(Simulator(fleet, limits=Limits(microsoft_in_flight=0)))
    error = served.api.mail(served.grant_id("microsoft")).json()["error"]
    assert "MailboxConcurrency" in error["message"]
    assert error["provider_error"]["error"]["code"] == "ApplicationThrottled"


def test_microsoft_counts_ten_minutes(serve):
    fleet = Fleet.generate(0, [MailboxSpec("microsoft", messages=20)])
    served = serve(Simulator(fleet, limits=Limits(microsoft_per_ten_minutes=3)))
    answers = [served.api.mail(served.grant_id("microsoft"), limit=1) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 601


def test_ews_cannot_serve_pages_over_fifty(serve):
    served = serve(Simulator(Fleet.generate(0, [MailboxSpec("ews", messages=200)]), irregular=0))
    grant_id = served.grant_id("ews")
    assert served.api.mail(grant_id, limit=51).status_code == 504
    assert len(served.api.mail(grant_id, limit=50).json()["data"]) == 50


def test_nylas_counts_a_second_for_each_grant_and_for_the_application():
    clock = Clock()
    meter = Meter(Limits(), clock)
    first, second = (Grant(name, "ews", 0) for name in "ab")

    def call(grant):
        with meter.mailbox_call(grant, 1):
            pass

    def call_grants():
        with meter.application_call():
            pass

    for grant in (first, second):
        for _ in range(200):
            call(grant)
    for _ in range(50):
        call_grants()
    for over in (lambda: call(first), call_grants):
        with pytest.raises(ApiError) as refused:
            over()
        assert (refused.value.status, refused.value.kind) == (429, "nylas_rate_limit_exceeded")
        assert refused.value.provider_error is None
        assert refused.value.headers == {}
    clock.now = 1.0
    call(first)
    call_grants()


def test_off_refuses_nothing_and_still_counts_units(serve):
    served, grant_id = _google(serve, Limits.off(), messages=201)
    answers = [served.api.mail(grant_id, limit=200, select="id") for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["Nylas-Gmail-Quota-Usage"] for answer in answers} == {"1005"}


def test_threads_cost_forty_units_each_and_what_is_not_gmails_costs_none(serve):
    served, grant_id = _google(serve, Limits())
    page = served.api.get(f"/v3/grants/{grant_id}/threads", limit=20)
    assert page.headers["Nylas-Gmail-Quota-Usage"] == "805"
    one = served.api.one(grant_id, "threads", page.json()["data"][0]["id"])
    assert one.headers["Nylas-Gmail-Quota-Usage"] == "40"
    for what in ("contacts", "contacts/groups", "calendars", "events?calendar_id=primary"):
        answer = served.api.get(f"/v3/grants/{grant_id}/{what}")
        assert "Nylas-Gmail-Quota-Usage" not in answer.headers
        assert answer.headers["Nylas-Provider-Request-Count"] == "1"


def test_threads_are_refused_over_a_minutes_budget_and_contacts_are_not(serve):
    served, grant_id = _google(serve, Limits(google_units_per_second=20.0))
    path = f"/v3/grants/{grant_id}"
    assert [served.api.get(f"{path}/threads", limit=20).status_code for _ in range(2)] == [200, 429]
    assert served.api.get(f"{path}/contacts").status_code == 200


def test_ews_serves_fewer_threads_than_messages_at_once(serve):
    served = serve(Simulator(Fleet.generate(0, [MailboxSpec("ews", messages=60)]), irregular=0))
    path = f"/v3/grants/{served.grant_id('ews')}"
    asked = [("threads", 21), ("threads", 20), ("contacts", 51), ("contacts", 50)]
    statuses = [served.api.get(f"{path}/{what}", limit=limit).status_code for what, limit in asked]
    assert statuses == [504, 200, 504, 200]
