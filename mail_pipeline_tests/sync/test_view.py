"""All mail comes through the view: what a subset leaves out is not asked for, or never leaves the client."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mail_pipeline.errors import StopRun
from mail_pipeline.nylas import GrantClient, MessageQuery, NylasClient
from mail_pipeline.subset import Subsets
from mail_pipeline.sync.view import views
from mail_pipeline_tests.nylas.scripted import GRANT, KEY, JumpingClock, Reply, ScriptedServer, Seen, page

SECRET = "planted-secret"
FOLDERS = [
    {"id": "INBOX", "name": "INBOX"},
    {"id": "L1", "name": "Private"},
    {"id": "L2", "name": "Work"},
]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.stop()


@contextmanager
def viewing(server: ScriptedServer, provider: str = "google", **rules: Any) -> Iterator[GrantClient]:
    subsets = Subsets(rules, key=b"key")
    with (
        NylasClient(KEY, server.uri, clock=JumpingClock(), views=views(subsets)) as client,
        client.grant(GRANT, provider) as grant,
    ):
        yield grant


def serve(server: ScriptedServer, *messages: dict[str, Any], folders: Any = FOLDERS) -> None:
    def answer(seen: Seen) -> Reply:
        if seen.path.endswith("/folders"):
            return page(folders)
        if seen.path.endswith("/messages"):
            return page(list(messages))
        return Reply({"request_id": "r", "data": messages[0]})

    server.otherwise = answer


def test_a_grant_of_which_everything_is_wanted_has_no_view() -> None:
    assert views(Subsets()) is None
    some = views(Subsets(providers={"ews": {"bodies": False}}))
    assert some is not None
    assert some("g", "google") is None
    assert some("h", "ews") is some("h", "ews") is not None


def test_fields_left_out_are_not_asked_for_and_dropped_where_they_come_all_the_same(
    server: ScriptedServer,
) -> None:
    serve(server, {"id": "m", "subject": "s", "body": SECRET, "snippet": SECRET, "new_field": SECRET})
    with viewing(server, bodies=False, snippets=False) as grant:
        found = [*grant.messages().records, *grant.message("m").records]
        light = grant.messages(MessageQuery(select=("id", "unread", "body")))
    assert found == [{"id": "m", "subject": "s"}] * 2
    assert light.records == [{"id": "m", "subject": "s"}]
    selects = [seen.query["select"].split(",") for seen in server.seen]
    assert "subject" in selects[0]
    assert "body" not in selects[0]
    assert selects == [selects[0], selects[0], ["id", "unread"]]


def test_beside_a_search_that_takes_no_choice_of_fields_they_are_dropped_after_they_came(
    server: ScriptedServer,
) -> None:
    serve(server, {"id": "m", "body": SECRET})
    with viewing(server, "microsoft", bodies=False, search="x") as grant:
        assert grant.messages(MessageQuery(received_after=5, received_before=9)).records == [{"id": "m"}]
    with viewing(server, "ews", bodies=False, search="x") as grant:
        grant.messages(MessageQuery(received_after=5))
    first, second = (seen.query for seen in server.seen)
    assert first == {"limit": "200", "search_query_native": "x"}
    assert second.keys() == {"limit", "search_query_native", "received_after", "select"}


def test_since_bounds_every_list_and_a_day_too_much_is_dropped(server: ScriptedServer) -> None:
    serve(server, {"id": "old", "date": 999, "body": SECRET}, {"id": "new", "date": 1000})
    with viewing(server, "ews", since=1000) as grant:
        pages = [grant.messages(MessageQuery(received_after=after)) for after in (None, 5, 2000)]
    assert [seen.query["received_after"] for seen in server.seen] == ["999", "999", "2000"]
    assert pages[0].records == [{"id": "new", "date": 1000}]
    assert pages[0].left_out == ("old",)


def test_mail_of_excluded_labels_never_leaves_the_client_and_folders_are_listed_once(
    server: ScriptedServer,
) -> None:
    serve(
        server,
        {"id": "a", "folders": ["INBOX"]},
        {"id": "b", "folders": ["INBOX", "L1"], "body": SECRET},
        {"id": "c", "folders": ["HIDDEN"]},
        {"id": "d", "folders": None},
        {"id": "e"},
    )
    with viewing(server, exclude_folders=("private",)) as grant:
        pages = [grant.messages() for _ in range(3)]
    assert [record["id"] for record in pages[-1].records] == ["a", "c", "d", "e"]
    assert pages[-1].left_out == ("b",)
    assert sum(seen.path.endswith("/folders") for seen in server.seen) == 1


def test_a_folder_made_since_is_looked_up_before_its_mail_is_let_out(server: ScriptedServer) -> None:
    with viewing(server, exclude_folders=("Private*",)) as grant:
        serve(server, {"id": "a", "folders": ["INBOX"]})
        assert len(grant.messages().records) == 1
        serve(
            server,
            {"id": "b", "folders": ["L9"], "body": SECRET},
            folders=[*FOLDERS, {"id": "L9", "name": "Private 2"}],
        )
        assert grant.messages().records == []
        assert grant.message("b").left_out == ("b",)


def test_a_copy_in_a_wanted_folder_is_shown_without_its_other_folders(server: ScriptedServer) -> None:
    serve(server, {"id": "a", "folders": ["INBOX", "L1"]}, {"id": "b", "folders": ["L1"], "body": SECRET})
    with viewing(server, "imap", exclude_folders=("Private",)) as grant:
        assert grant.messages().records == [{"id": "a", "folders": ["INBOX"]}]
        listed = grant.messages(MessageQuery("L2", query_imap=True))
    # The list of one folder shows that folder's copies, whatever the provider says of others.
    assert [record["id"] for record in listed.records] == ["a", "b"]
    assert listed.left_out == ()


def test_what_a_provider_cannot_do_stops_before_the_first_request(server: ScriptedServer) -> None:
    with (
        pytest.raises(StopRun, match="google takes no date beside a search"),
        viewing(server, since=5, search="x"),
    ):
        pass
    assert server.seen == []


def test_addresses_leave_the_client_hashed(server: ScriptedServer) -> None:
    serve(server, {"id": "m", "from": [{"name": SECRET, "email": "Planted-Secret@x.org"}], "to": SECRET})
    with viewing(server, "ews", hash_addresses=True, bodies=False, snippets=False) as grant:
        found = grant.messages().records
    assert "secret" not in str(found).lower()
    assert found[0]["from"][0]["email"].startswith("hmac:")
