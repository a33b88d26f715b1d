from typing import Any

import pytest

from mail_pipeline.simulator import API_KEY, Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.simulator.client import Api


@pytest.fixture(scope="module")
def api():
    specs = [MailboxSpec("imap" if number % 2 else "google", messages=0) for number in range(23)]
    specs += [MailboxSpec("virtual-calendar", messages=0), MailboxSpec("google", messages=5, valid=False)]
    simulator = Simulator(Fleet.generate(2, specs), limits=Limits.off())
    with simulator.serve() as url, Api(url) as api:
        yield api


def _grants(api, **params):
    response = api.get("/v3/grants", **params)
    assert response.status_code == 200
    return response.json()["data"]


def test_ten_newest_grants_come_unless_asked_otherwise(api):
    envelope = api.get("/v3/grants").json()
    assert len(envelope["data"]) == 10
    created = [grant["created_at"] for grant in envelope["data"]]
    assert created == sorted(created, reverse=True)
    assert (envelope["limit"], envelope["offset"]) == (10, 0)
    assert "next_cursor" not in envelope


@pytest.mark.parametrize("limit", [1, 7, 25, 200])
def test_offsets_lead_through_all_grants(api, limit):
    seen: list[dict[str, Any]] = []
    while page := _grants(api, limit=limit, offset=len(seen), sort_by="created_at", order_by="asc"):
        seen += page
    assert len({grant["id"] for grant in seen}) == len(seen) == 25
    created = [grant["created_at"] for grant in seen]
    assert created == sorted(created)
    assert len(set(created)) < 25


def test_since_and_before_include_the_second_they_name(api):
    everything = _grants(api, limit=200, order_by="asc")
    moment = everything[9]["created_at"]
    same = [grant for grant in everything if grant["created_at"] == moment]
    assert _grants(api, limit=200, since=moment, before=moment, order_by="asc") == same


def test_filters_choose_provider_status_and_address(api):
    everything = _grants(api, limit=200)
    assert len(_grants(api, limit=200, provider="imap")) == 11
    invalid = _grants(api, grant_status="invalid")
    assert [grant["grant_status"] for grant in invalid] == ["invalid"]
    email = everything[5]["email"]
    assert [grant["email"] for grant in _grants(api, email=email)] == [email]


def test_what_a_grant_does_not_have_is_absent(api):
    grants = _grants(api, limit=200)
    assert all("scope" not in grant for grant in grants if grant["provider"] == "imap")
    assert all(grant["scope"] for grant in grants if grant["provider"] == "google")
    assert [grant["provider"] for grant in grants if "email" not in grant] == ["virtual-calendar"]


@pytest.mark.parametrize(
    "params",
    [{"limit": 201}, {"limit": 0}, {"limit": "ten"}, {"offset": -1}, {"order_by": "up"}, {"sort_by": "id"}],
)
def test_bad_parameters_answer_400(api, params):
    response = api.get("/v3/grants", **params)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_a_page_token_is_no_parameter_of_grants(api):
    assert api.get("/v3/grants", page_token="x").status_code == 400


def test_a_grant_is_found_by_id_and_by_address(api):
    wanted = _grants(api)[0]
    assert api.get(f"/v3/grants/{wanted['id']}").json()["data"] == wanted
    assert api.get(f"/v3/grants/{wanted['email'].replace('@', '%40')}").json()["data"] == wanted


def test_an_unknown_grant_answers_404(api):
    for path in ("", "/messages", "/folders", "/messages/1"):
        response = api.get(f"/v3/grants/00000000-0000-4000-8000-000000000000{path}")
        assert response.status_code == 404
        assert response.json()["error"]["type"] == "grant.not_found"


def test_an_invalid_grant_is_listed_and_answers_401_on_its_mail(api):
    (grant,) = _grants(api, grant_status="invalid")
    assert api.get(f"/v3/grants/{grant['id']}").status_code == 200
    response = api.mail(grant["id"])
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "api.authentication_error"


def test_a_calendar_grant_has_no_mail(api):
    (grant,) = _grants(api, provider="virtual-calendar")
    assert api.mail(grant["id"]).status_code == 400
    assert api.get(f"/v3/grants/{grant['id']}/folders").status_code == 400


@pytest.mark.parametrize("header", [None, "", "Bearer wrong", f"Basic {API_KEY}", API_KEY, "Bearer ключ"])
def test_a_wrong_key_answers_401_everywhere(api, header):
    with Api(api.url) as other:
        if header is None:
            del other.session.headers["Authorization"]
        else:
            other.session.headers["Authorization"] = header.encode()
        for path in ("/v3/grants", "/v3/grants/x", "/v3/grants/x/messages", "/v3/nothing"):
            response = other.get(path)
            assert response.status_code == 401
            envelope = response.json()
            assert envelope["error"]["type"] == "token.unauthorized_access"
            assert envelope["request_id"] == response.headers["x-request-id"]


def test_the_key_is_the_one_the_simulator_was_given(serve):
    served = serve(Simulator(Fleet.generate(), api_key="nyk_other"))
    assert served.api.get("/v3/grants").status_code == 401
    with Api(served.api.url, key="nyk_other") as api:
        assert api.get("/v3/grants").status_code == 200


def test_what_is_not_simulated_answers_404_in_the_envelope(api):
    for method, path in (
        ("GET", "/v3/threads"),
        ("POST", "/v3/grants"),
        ("GET", "/"),
        ("DELETE", "/v3/grants/x"),
    ):
        response = api.session.request(method, api.url + path, timeout=10)
        assert response.status_code == 404
        assert response.json()["error"]["type"] == "not_found_error"


def test_a_vanished_grant_is_gone_until_restored(serve):
    served = serve(Simulator(Fleet.generate(0, [MailboxSpec(messages=3)] * 2)))
    kept, gone = (mailbox.grant.id for mailbox in served.simulator.fleet)
    served.simulator.vanish(gone)
    assert [grant["id"] for grant in _grants(served.api)] == [kept]
    assert served.api.mail(gone).status_code == 404
    served.simulator.restore(gone)
    assert len(_grants(served.api)) == 2
    assert len(served.api.mail(gone).json()["data"]) == 3
