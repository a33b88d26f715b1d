"""A native search and what each provider takes beside it: refused before it is sent."""

import pytest

from mail_pipeline.nylas import MessageQuery, NylasClient
from mail_pipeline_tests.nylas.scripted import GRANT, KEY, ScriptedServer, page

ALL = MessageQuery(
    "f", received_after=5, received_before=9, select=("id",), search_query_native='from:"a b" & more'
)


@pytest.mark.parametrize(
    ("provider", "refused"),
    [
        ("google", "received_after and no received_before and no select"),
        ("microsoft", "received_after and no received_before and no select"),
        ("ews", ""),
        ("imap", ""),
        ("yahoo", ""),
        ("icloud", ""),
    ],
)
def test_what_a_provider_takes_beside_a_search(provider: str, refused: str) -> None:
    if not refused:
        ALL.check(provider)
        return
    with pytest.raises(ValueError, match=f"^{provider} takes no {refused} beside search_query_native$"):
        ALL.check(provider)


def test_without_a_search_every_provider_takes_all_of_it() -> None:
    for provider in ("google", "microsoft", "ews", "imap"):
        MessageQuery("f", received_after=5, received_before=9, select=("id",)).check(provider)


def test_an_empty_search_is_refused_for_it_would_list_everything() -> None:
    with pytest.raises(ValueError, match="search_query_native is empty"):
        MessageQuery(search_query_native="")


def test_a_search_is_sent_as_it_was_written_with_what_may_stand_beside_it(server: ScriptedServer) -> None:
    server.script = [page([])]
    query = MessageQuery("f", search_query_native='from:"a b" & more')
    with NylasClient(KEY, server.uri) as client, client.grant(GRANT, "google") as grant:
        grant.messages(query, cursor="c", limit=4)
        with pytest.raises(ValueError, match="google takes no select"):
            grant.messages(MessageQuery(select=("id",), search_query_native="x"))
    [seen] = server.seen
    assert seen.query == {
        "limit": "4",
        "in": "f",
        "search_query_native": 'from:"a b" & more',
        "page_token": "c",
    }
