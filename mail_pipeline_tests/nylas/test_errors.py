"""Nothing secret, no address and no mail content leaves through an error."""

import logging
import pickle
import re
import traceback
from dataclasses import replace

import pytest

from mail_pipeline.errors import MailPipelineError
from mail_pipeline.nylas import MessageQuery, NylasClient, errors
from mail_pipeline_tests.nylas.scripted import KEY, JumpingClock, Reply, page, refusal

ADDRESS = "alice.private@example.com"
MESSAGE_ID = f"<private-message-id/{ADDRESS}>"
FOLDER = "Private folder"
CURSOR = "private-cursor"
CONTENT = "Subject: the private offer"
PRIVATE = [KEY, "SECRET", "private", "Private", "alice", "example.com"]

ANSWERS = [
    *(
        refusal(
            status, CONTENT, f"{CONTENT} {CURSOR} cursor", provider_error={"message": CONTENT, "to": ADDRESS}
        )
        for status in (400, 401, 403, 404, 410, 422, 423, 429, 500, 502, 503, 504)
    ),
    refusal(403, "rateLimitExceeded", CONTENT),
    replace(refusal(429, CONTENT), headers={"x-request-id": ADDRESS, "Retry-After": CONTENT}),
    Reply(CONTENT.encode()),
    Reply(CONTENT.encode(), 404),
    Reply({"request_id": CONTENT, "data": CONTENT}),
    Reply({"data": [], "next_cursor": {CONTENT: CONTENT}}),
    Reply({"request_id": ADDRESS, "error": CONTENT}, 400),
    Reply(b"", 302, {"Location": f"/login?user={ADDRESS}"}),
    Reply(end="reset"),
    replace(page([{"subject": CONTENT}]), end="half"),
]


def everything_said(error: BaseException) -> str:
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert type(copy) is type(error)
    chain = "".join(traceback.format_exception(error))
    assert error.__cause__ is None
    assert error.__context__ is None
    return f"{error}{error!r}{error.args}{vars(error)}{copy!r}{chain}".replace(__file__, "")


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("grant_id", ["5f3e0a52-7d1c", ADDRESS])
@pytest.mark.parametrize(
    "what", ["list", "message", "grants", "grant", "webhooks", "create", "update", "rotate", "delete"]
)
def test_no_error_shows_a_secret_an_address_or_mail(server, limits, caplog, answer, grant_id, what):
    caplog.set_level(logging.DEBUG, logger="mail_pipeline")
    of_mailbox = what in ("list", "message")
    server.otherwise = lambda seen: page() if of_mailbox and seen.path == "/v3/grants" else answer
    client = NylasClient(KEY, server.uri, limits=replace(limits, patience=0), clock=JumpingClock())
    with client, client.grant(grant_id, "imap") as grant:
        ask = {
            "list": lambda: grant.messages(MessageQuery(FOLDER, query_imap=True), cursor=CURSOR),
            "message": lambda: grant.message(MESSAGE_ID, folder_id=FOLDER),
            "grants": lambda: list(client.grants()),
            "grant": lambda: client.one_grant(grant_id),
            "webhooks": lambda: client.webhooks(),
            "create": lambda: client.create_webhook(f"https://{ADDRESS}/", emails=[ADDRESS]),
            "update": lambda: client.update_webhook(ADDRESS, description=CONTENT, emails=[ADDRESS]),
            "rotate": lambda: client.rotate_webhook_secret(ADDRESS),
            "delete": lambda: client.delete_webhook(ADDRESS),
        }[what]
        failed = None
        try:
            ask()
        except MailPipelineError as error:
            failed = error
        if failed is None:
            assert what == "delete"
            return
    said = everything_said(failed) + caplog.text
    assert not [secret for secret in PRIVATE if secret in strip_source_lines(said)]
    assert re.match("[A-Z]+ /v3/(grants|webhooks)", failed.message)
    assert failed.next_step


def strip_source_lines(said: str) -> str:
    """Leave out the lines of source that a traceback shows: they are ours, not an answer's."""
    return "\n".join(line for line in said.splitlines() if not line.startswith("    "))


def test_no_client_shows_the_key(server):
    with NylasClient(KEY, server.uri) as client, client.grant("g", "google") as grant:
        assert "SECRET" not in f"{client!r}{client}{grant!r}{grant}"


def test_every_error_is_classed_and_pickles_with_its_next_step():
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and kind.__module__ == errors.__name__
    ]
    assert len(kinds) >= 11
    for kind in kinds:
        assert issubclass(kind, MailPipelineError)
        error = pickle.loads(pickle.dumps(kind("what", next_step="Do this.")))
        assert type(error) is kind
        assert str(error) == "what. Do this."


def test_the_seconds_to_wait_survive_pickling():
    error = errors.Throttled("what", next_step="Wait.", retry_after=7.5)
    assert pickle.loads(pickle.dumps(error)).retry_after == 7.5
