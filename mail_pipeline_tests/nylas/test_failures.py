import json
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_pipeline.errors import RetryLater, SkipMailbox, StopRun
from mail_pipeline.nylas import (
    CursorRejected,
    GrantRejected,
    KeyRejected,
    MalformedPage,
    NotAllowed,
    NotFound,
    NotNylas,
    ProviderUnavailable,
    Throttled,
    Unsupported,
)
from mail_pipeline.nylas.failures import broken, refused
from mail_pipeline.nylas.transport import Answer, Broken

NOW = 1_790_000_000.0
QUOTA_403 = {"error": {"code": 403, "errors": [{"reason": "userRateLimitExceeded", "domain": "usageLimits"}]}}


def judge(status, kind="api.x", message="no", provider_error=None, *, body=None, headers=None, **how):
    error = {"type": kind, "message": message, "provider_error": provider_error}
    raw = json.dumps({"request_id": "req-1", "error": error}).encode() if body is None else body
    answer = Answer(status, headers or {}, raw, 0.0, 0.0)
    how = {"application": False, "cursor_sent": False, "provider_now": NOW, **how}
    return refused("GET /v3/grants/g/messages?limit", answer, **how)


@pytest.mark.parametrize(
    ("status", "kind", "more", "error", "retry"),
    [
        (400, "invalid_request_error", {}, Unsupported, "never"),
        (400, "api.invalid_request_payload", {}, Unsupported, "never"),
        (400, "token.unauthorized_access", {}, GrantRejected, "never"),
        (400, "api.authentication_error", {}, GrantRejected, "never"),
        (401, "unauthorized", {}, GrantRejected, "never"),
        (401, "token.unauthorized_access", {}, GrantRejected, "never"),
        (403, "insufficient_scopes", {}, NotAllowed, "never"),
        (403, "grant.access_denied", {}, NotAllowed, "never"),
        (403, "api.provider_error", {"provider_error": QUOTA_403}, Throttled, "patiently"),
        (403, "rateLimitExceeded", {}, Throttled, "patiently"),
        (404, "not_found_error", {}, NotFound, "never"),
        (404, "grant.not_found", {}, NotFound, "never"),
        (404, "api.partial_not_found_error", {}, NotFound, "never"),
        (405, "api.method", {}, Unsupported, "never"),
        (408, "", {}, ProviderUnavailable, "patiently"),
        (410, "api.gone", {}, NotFound, "never"),
        (422, "invalid_request_error", {}, Unsupported, "never"),
        (423, "api.resource_blocked", {}, GrantRejected, "never"),
        (429, "nylas_rate_limit_exceeded", {}, Throttled, "patiently"),
        (429, "api.rate_limit_error", {}, Throttled, "patiently"),
        (429, "quota_exceeded_error", {}, Throttled, "patiently"),
        (500, "api.internal_error", {}, ProviderUnavailable, "patiently"),
        (502, "", {}, ProviderUnavailable, "patiently"),
        (503, "", {}, ProviderUnavailable, "patiently"),
        (503, "", {"headers": {"X-MS-ASThrottle": "CommandFrequency"}}, Throttled, "patiently"),
        (504, "provider_error", {}, ProviderUnavailable, "patiently"),
        (504, "api.partial_success_error", {}, ProviderUnavailable, "patiently"),
        (520, "", {}, ProviderUnavailable, "patiently"),
    ],
)
def test_each_refusal_of_a_grants_request_is_classed_by_what_to_do(status, kind, more, error, retry):
    failure = judge(status, kind, **more)
    assert type(failure.error) is error
    assert failure.retry == retry
    assert failure.too_slow == (status == 504)
    assert failure.throttled == (error is Throttled)
    assert failure.unauthorized == (error is GrantRejected and status in (400, 401))
    assert failure.error.next_step
    assert f"answered {status}" in str(failure.error)
    assert "req-1" in str(failure.error)


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (401, "unauthorized", KeyRejected),
        (400, "api.authentication_error", KeyRejected),
        (403, "insufficient_scopes", KeyRejected),
        (404, "not_found_error", NotNylas),
        (400, "invalid_request_error", NotNylas),
        (301, "", NotNylas),
        (429, "rate_limit_error", Throttled),
        (503, "", ProviderUnavailable),
    ],
)
def test_a_refusal_of_the_applications_own_request_is_about_key_or_address(status, kind, error):
    assert type(judge(status, kind, application=True).error) is error


@pytest.mark.parametrize("body", [b"", b"<html>Forbidden</html>", b"nope", b"[]", b"{}", b'{"error": null}'])
@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_a_gateways_page_is_no_word_of_nylas_and_deletes_nothing(status, body):
    failure = judge(status, body=body)
    assert type(failure.error) is MalformedPage
    assert failure.retry == "few times"
    assert "$.error" in str(failure.error)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[1]", b'{"error": "text"}', b'{"error": {"type": ["x"]}}']
)
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_gateway_pages_with_a_passing_status_are_waited_out(status, body):
    assert judge(status, body=body).retry == "patiently"


def test_an_oauth_shaped_error_counts_as_nylas_own():
    failure = judge(404, body=b'{"error": "grant.not_found", "error_code": 7, "request_id": "q"}')
    assert type(failure.error) is NotFound
    assert "grant.not_found" in str(failure.error)


@pytest.mark.parametrize(
    "words", ["invalid page_token", "Invalid pageToken value", "bad cursor", "skipToken expired"]
)
@pytest.mark.parametrize("status", [400, 410, 422])
def test_a_refused_cursor_is_told_apart_only_when_one_was_sent(words, status):
    assert type(judge(status, message=words, cursor_sent=True).error) is CursorRejected
    assert type(judge(status, message=words).error) is not CursorRejected
    assert type(judge(status, provider_error={"message": words}, cursor_sent=True).error) is CursorRejected
    assert type(judge(status, message="limit is too high", cursor_sent=True).error) is not CursorRejected


def http(seconds):
    return formatdate(NOW + seconds, usegmt=True)


@pytest.mark.parametrize(
    ("header", "words", "seconds"),
    [
        ("7", "", 7),
        (" 7 ", "", 7),
        ("1.5", "", 1.5),
        (http(90), "", 90),
        ("0", "", None),
        (http(-90), "", None),
        ("-5", "", None),
        ("soon", "", None),
        ("nan", "", None),
        ("", "", None),
        (None, "", None),
        (None, "Retry after 2026-09-21T14:14:20Z", 60),
        (None, "User-rate limit exceeded.  Retry after 2026-09-21T14:14:20.500Z (Mail sending)", 60.5),
        (None, "retry after 2026-09-21T16:14:20+02:00", 60),
        (None, "Retry after 2026-99-99T99:99:99Z", None),
        (None, "Retry after lunch", None),
        ("7", "Retry after 2026-09-21T14:14:20Z", 7),
    ],
)
@pytest.mark.parametrize("status", [403, 429, 503])
def test_how_long_to_wait_is_read_in_every_form(status, header, words, seconds):
    headers = {} if header is None else {"Retry-After": header}
    failure = judge(status, "quota_exceeded_error", provider_error={"message": words}, headers=headers)
    assert failure.wait == (None if seconds is None else pytest.approx(seconds))
    assert judge(status, "quota", message=words, headers=headers).wait == failure.wait


@pytest.mark.parametrize("application", [True, False])
def test_a_redirect_names_the_host_it_points_to_and_nothing_more_of_it(application):
    location = "https://user:pw@login.example.org/sign-in?token=SECRET"
    failure = judge(302, body=b"", headers={"Location": location}, application=application)
    kind = NotNylas if application else MalformedPage
    assert type(failure.error) is kind
    assert "login.example.org" in str(failure.error)
    assert "SECRET" not in str(failure.error)
    assert "pw" not in str(failure.error)
    broken = judge(302, body=b"", headers={"Location": "http://[oops"}, application=application)
    assert type(broken.error) is kind


@pytest.mark.parametrize("status", [204, 206, 302, 304])
def test_what_is_neither_a_page_nor_an_error_pauses_its_mailbox_and_no_other(status):
    failure = judge(status, body=b"")
    assert type(failure.error) is MalformedPage
    assert failure.retry == "few times"
    assert f"answered {status}" in str(failure.error)
    assert "NYLAS_API_URI" not in failure.error.next_step


def test_an_exchange_without_answer_is_tried_again_patiently():
    failure = broken("GET /v3/grants", Broken("lost its connection"))
    assert failure.retry == "patiently"
    assert not failure.too_slow
    assert str(failure.error).startswith("GET /v3/grants lost its connection. ")
    assert broken("GET /v3/grants", Broken("got no answer in time", too_slow=True)).too_slow


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
)


@settings(max_examples=40)
@given(
    status=st.integers(300, 599),
    body=st.binary() | json_values.map(lambda value: json.dumps({"error": value}).encode()),
    application=st.booleans(),
    retry_after=st.text(st.characters(codec="latin-1")),
)
def test_any_refusal_at_all_is_judged(status, body, application, retry_after):
    failure = judge(status, body=body, application=application, headers={"Retry-After": retry_after})
    assert isinstance(failure.error, (RetryLater, SkipMailbox, StopRun, CursorRejected))
    assert failure.wait is None or failure.wait > 0
    if failure.retry != "never":
        assert isinstance(failure.error, (RetryLater, NotNylas))
