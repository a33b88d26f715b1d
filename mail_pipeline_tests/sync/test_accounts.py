"""Grants and folders follow the provider, but only what came whole counts."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mail_pipeline.errors import StopRun
from mail_pipeline.lake.connection import connect
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas import GrantClient, NylasClient, Page
from mail_pipeline.settings import Settings
from mail_pipeline.simulator import API_KEY, Fault, FaultRule, Faults, Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline.sync.accounts import FoldersReport, GrantsReport, refresh_folders, refresh_grants
from mail_pipeline.sync.checkpoints import COMPLETE, Checkpoint, checkpoint_rows
from mail_pipeline_tests.nylas.scripted import KEY, Reply, ScriptedServer, Seen, page, refusal

KEYS = re.compile(r"[-a-zA-Z0-9_:@]+(/[-a-zA-Z0-9_:@]+)?")


class Accounts:
    """A data folder and the server its accounts come from."""

    def __init__(self, data: Path, uri: str, api_key: str = API_KEY) -> None:
        self.settings = Settings(api_key=api_key, api_uri=uri, data=data, workers=2, patience=1.0)
        self._connection = connect(data)

    def refresh(self) -> tuple[GrantsReport, FoldersReport]:
        return refresh_grants(self.settings), refresh_folders(self.settings)

    def ask(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, parameters).fetchall()

    def partitions(self) -> list[str]:
        return [key for key, active in self.ask("SELECT partition_key, active FROM mailboxes") if active]

    def everything(self) -> list[list[tuple[Any, ...]]]:
        return [
            self.ask(f"FROM {table} ORDER BY ALL") for table in ("all_grants", "all_folders", "dead_letters")
        ]


@pytest.fixture
def serve(data: Path) -> Iterator[Callable[..., tuple[Simulator, Accounts]]]:
    """Serve mailboxes of these providers until the test ends."""
    with ExitStack() as stack:

        def start(*specs: MailboxSpec | str, **options: Any) -> tuple[Simulator, Accounts]:
            mailboxes = [MailboxSpec(s, messages=1) if isinstance(s, str) else s for s in specs]
            simulator = Simulator(Fleet.generate(3, mailboxes), limits=Limits.off(), **options)
            return simulator, Accounts(data, stack.enter_context(simulator.serve()))

        yield start


Serve = Callable[..., tuple[Simulator, Accounts]]


def grant_ids(simulator: Simulator) -> list[str]:
    return [mailbox.grant.id for mailbox in simulator.fleet]


def test_every_mailbox_gets_its_partition(serve: Serve) -> None:
    providers = ("google", "microsoft", "ews", "imap", "yahoo", "icloud", "zimbra", "virtual-calendar")
    simulator, accounts = serve(*providers, MailboxSpec("google", messages=1, valid=False))
    grants, folders = accounts.refresh()

    assert (grants.total, grants.valid, grants.new) == (9, 8, 9)
    assert (grants.vanished, grants.returned, grants.unreadable) == (0, 0, 0)
    assert grants.by_provider == {**dict.fromkeys(providers, 1), "google": 2}
    ids = dict(zip((*providers, "invalid"), grant_ids(simulator), strict=True))
    keys = accounts.partitions()
    assert all(KEYS.fullmatch(key) for key in keys)
    assert len({key.lower() for key in keys}) == len(keys)
    for provider in ("google", "microsoft", "ews", "zimbra", "invalid"):
        assert [key for key in keys if key.startswith(ids[provider])] == [ids[provider]]
    assert not [key for key in keys if key.startswith(ids["virtual-calendar"])]
    for provider in ("imap", "yahoo", "icloud"):
        mine = [key for key in keys if key.startswith(ids[provider])]
        assert mine[0] == f"{ids[provider]}/@recent"
        mailbox = simulator.fleet.find(ids[provider])
        assert mailbox is not None
        assert len(mine) == 1 + len(mailbox.folders)
        # A grant's keys stand side by side.
        assert keys[keys.index(mine[0]) :][: len(mine)] == mine
    assert folders.failed.keys() <= {ids["virtual-calendar"]}
    assert folders.folders == folders.new == len(accounts.ask("FROM folders"))


def test_a_second_look_finds_nothing_new_and_changes_no_key(serve: Serve) -> None:
    _, accounts = serve("google", "imap")
    accounts.refresh()
    keys = accounts.partitions()
    grants, folders = accounts.refresh()

    assert (grants.total, grants.new, grants.vanished, grants.returned) == (2, 0, 0, 0)
    assert (folders.new, folders.vanished, folders.returned) == (0, 0, 0)
    assert accounts.partitions() == keys
    assert accounts.ask("SELECT count(*), count(DISTINCT id) FROM all_grants") == [(2, 2)]


def stand_complete(accounts: Accounts) -> None:
    """Let every mailbox have been backfilled a day ago."""
    rows = accounts.ask("SELECT partition_key, grant_id, epoch(now())::BIGINT - 86400 FROM mailboxes")
    with Lake(accounts.settings.data) as lake, lake.transaction() as transaction:
        transaction.append(
            "checkpoints",
            checkpoint_rows(
                Checkpoint(
                    partition_key=key, grant_id=grant, version=1, round=1, state=COMPLETE, updated_at=moment
                )
                for key, grant, moment in rows
            ),
        )


def states(accounts: Accounts) -> dict[str, str]:
    return dict(accounts.ask("SELECT partition_key, state FROM mailboxes"))


def test_a_grant_that_vanishes_keeps_its_row_and_one_that_returns_trusts_no_old_event(serve: Serve) -> None:
    simulator, accounts = serve("google", "imap", "microsoft")
    _, imap, _ = grant_ids(simulator)
    accounts.refresh()
    keys = accounts.partitions()
    stand_complete(accounts)
    assert set(states(accounts).values()) == {"complete"}

    simulator.vanish(imap)
    grants, folders = accounts.refresh()
    assert (grants.total, grants.vanished) == (2, 1)
    assert (folders.grants, folders.vanished) == (2, 0)
    assert accounts.partitions() == [key for key in keys if not key.startswith(imap)]
    assert accounts.ask("SELECT count(*) FROM grants") == [(2,)]
    assert accounts.ask("SELECT id FROM all_grants WHERE deleted_at IS NOT NULL") == [(imap,)]

    assert accounts.refresh()[0].vanished == 0

    simulator.restore(imap)
    assert accounts.refresh()[0].returned == 1
    assert accounts.partitions() == keys
    expected = {key: "registered" if key.startswith(imap) else "complete" for key in keys}
    assert states(accounts) == expected
    assert accounts.refresh()[0].returned == 0
    assert states(accounts) == expected


def test_a_folder_keeps_its_key_when_it_vanishes_and_returns(serve: Serve) -> None:
    simulator, accounts = serve("imap")
    (imap,) = grant_ids(simulator)
    accounts.refresh()
    keys = dict(accounts.ask("SELECT id, partition_key FROM folders"))
    stand_complete(accounts)

    simulator.vanish(imap, "Sales 2024")
    assert accounts.refresh()[1].vanished == 1
    gone = keys["Sales 2024"]
    assert gone not in accounts.partitions()
    assert dict(accounts.ask("SELECT id, partition_key FROM all_folders")) == keys

    simulator.restore(imap, "Sales 2024")
    assert accounts.refresh()[1].returned == 1
    assert dict(accounts.ask("SELECT id, partition_key FROM folders")) == keys
    assert [key for key, state in states(accounts).items() if state == "registered"] == [gone]


def nothing() -> None:
    pass


class Overtaken(NylasClient):
    """Something happens between its last page and what is made of it, and another refresh tells of that."""

    meanwhile: Callable[[], object] = nothing

    def grants(self) -> Iterator[Page]:
        yield from super().grants()
        self.meanwhile()

    def grant(self, grant_id: str, provider: str) -> GrantClient:
        grant = super().grant(grant_id, provider)
        folders = grant.folders

        def overtaken() -> Iterator[Page]:
            yield from folders()
            self.meanwhile()

        grant.folders = overtaken  # type: ignore[method-assign]
        return grant


@pytest.mark.parametrize("folder", [None, "Sales 2024"])
@pytest.mark.parametrize("appears", [True, False])
def test_a_list_that_was_overtaken_by_a_newer_one_changes_nothing(
    serve: Serve, folder: str | None, appears: bool
) -> None:
    simulator, accounts = serve("google", "imap")
    _, imap = grant_ids(simulator)
    accounts.refresh()
    ((of_the_folder,),) = accounts.ask("SELECT partition_key FROM folders WHERE id = 'Sales 2024'")
    change, undo = simulator.restore, simulator.vanish
    if not appears:
        change, undo = undo, change
    undo(imap, folder)
    accounts.refresh()

    def meanwhile() -> None:
        client.meanwhile = nothing
        change(imap, folder)
        simulator.clock.advance(2)
        accounts.refresh()
        newer.append(accounts.everything())

    newer: list[list[list[tuple[Any, ...]]]] = []
    settings = accounts.settings
    client = Overtaken(settings.api_key or "", settings.api_uri)
    client.meanwhile = meanwhile
    with client:
        if folder is None:
            refresh_grants(settings, client=client)
        else:
            refresh_folders(settings, only=[imap], client=client)

    assert [accounts.everything()] == newer
    assert (of_the_folder in accounts.partitions()) is appears


def test_folders_that_slug_alike_keep_apart_whoever_comes_first(serve: Serve) -> None:
    simulator, accounts = serve("imap")
    (imap,) = grant_ids(simulator)
    simulator.vanish(imap, "Sales 2024")
    accounts.refresh()
    found = dict(accounts.ask("SELECT id, partition_key FROM folders"))
    assert found["sales-2024"] == f"{imap}/sales-2024"

    simulator.restore(imap, "Sales 2024")
    accounts.refresh()
    found = dict(accounts.ask("SELECT id, partition_key FROM folders"))
    assert found["sales-2024"] == f"{imap}/sales-2024"
    assert re.fullmatch(rf"{imap}/Sales-2024-[0-9a-f]{{6}}", found["Sales 2024"])


def test_a_grant_whose_folders_fail_keeps_them_and_the_others_go_on(serve: Serve) -> None:
    many = MailboxSpec("imap", messages=1, user_folders=250)
    fleet = Fleet.generate(3, [many, many])
    broken, whole = (mailbox.grant.id for mailbox in fleet)
    # The second of two pages of its second list.
    rule = FaultRule(Fault.GRANT_EXPIRED, operation="folders", grant_id=broken, first=4, times=None)
    simulator, accounts = serve(many, many, faults=Faults([rule]))
    accounts.refresh()
    before = accounts.partitions()
    for each in (broken, whole):
        simulator.vanish(each, "INBOX.Sent")
    _, folders = accounts.refresh()

    assert folders.failed.keys() == {broken}
    assert "connect" in folders.failed[broken]
    assert (folders.grants, folders.vanished) == (1, 1)
    assert set(before) - set(accounts.partitions()) == {f"{whole}/Sent"}


class Script:
    """Answers for grants and folders from two lists of records."""

    def __init__(self, server: ScriptedServer) -> None:
        self.grants: list[Any] = []
        self.folders: list[Any] = []
        self.broken_after: int | None = None
        server.otherwise = self.answer

    def answer(self, seen: Seen) -> Reply:
        if seen.path.endswith("/folders"):
            return page(list(self.folders))
        offset, limit = int(seen.query["offset"]), int(seen.query["limit"])
        if self.broken_after is not None and offset + limit > self.broken_after:
            return refusal(401)
        return page(self.grants[offset : offset + limit])


@pytest.fixture
def scripted(data: Path) -> Iterator[tuple[Script, Accounts]]:
    server = ScriptedServer()
    yield Script(server), Accounts(data, server.uri, KEY)
    server.stop()


def grant(identity: Any, **fields: Any) -> dict[str, Any]:
    return {"id": identity, "provider": "imap", "grant_status": "valid", "created_at": 1, **fields}


def test_folders_whose_cursor_is_not_accepted_fail_their_grant_alone(serve: Serve) -> None:
    faults = Faults([FaultRule(Fault.CURSOR_EXPIRED, "folders", times=None)])
    simulator, accounts = serve(
        MailboxSpec("google", messages=1, user_folders=300), "microsoft", faults=faults
    )
    google, _ = grant_ids(simulator)
    _, folders = accounts.refresh()

    assert folders.failed.keys() == {google}
    assert folders.folders > 0


LETTERS = "SELECT object, object_id, reason, stored FROM dead_letters ORDER BY object_id NULLS LAST"


def test_a_grant_that_cannot_be_read_is_kept_raw_once_without_its_secrets(
    scripted: tuple[Script, Accounts],
) -> None:
    script, accounts = scripted
    bad = grant("bad", provider=[], settings={"imap_password": "hunter2"}, email="a@b.example")
    script.grants = [grant("good"), bad, "no object"]
    report = refresh_grants(accounts.settings)
    refresh_grants(accounts.settings)

    assert (report.total, report.unreadable) == (1, 2)
    assert accounts.ask(LETTERS) == [
        ("grant", "bad", "provider: expected text, got a list", False),
        ("grant", None, "record: expected an object, got text", False),
    ]
    assert accounts.ask("SELECT count(*) FROM dead_letters WHERE contains(raw, 'hunter2')") == [(0,)]


def test_a_field_that_cannot_be_read_costs_no_account_and_no_folder(
    scripted: tuple[Script, Accounts],
) -> None:
    script, accounts = scripted
    script.grants = [grant("a", created_at=1.5)]
    script.folders = [
        {"id": "F", "name": "F", "total_count": "many", "unread_count": 1},
        {"id": "INBOX", "name": 5, "attributes": ["\\Inbox"]},
    ]
    grants, folders = accounts.refresh()
    script.folders[0]["unread_count"] = 2
    accounts.refresh()

    assert accounts.partitions() == ["a/@recent", "a/F", "a/INBOX"]
    assert (grants.total, grants.unreadable) == (1, 0)
    assert (folders.folders, folders.unreadable) == (2, 0)
    assert accounts.ask("SELECT id, name, unread_count FROM folders ORDER BY id") == [
        ("F", "F", 2),
        ("INBOX", None, None),
    ]
    without = "; stored without it"
    assert accounts.ask(LETTERS) == [
        ("folder", "F", f"total_count: expected a whole number, got text{without}", True),
        ("folder", "INBOX", f"name: expected text, got a number{without}", True),
        ("grant", "a", f"created_at: expected unix seconds, got a decimal number{without}", True),
    ]


def test_what_is_known_of_an_account_or_a_folder_outlasts_a_field_that_cannot_be_read(
    scripted: tuple[Script, Accounts],
) -> None:
    script, accounts = scripted
    script.grants = [grant("a", email="a@b.example", scope=["mail"], updated_at=1)]
    script.folders = [{"id": "F", "name": "Gesendet", "total_count": 7, "attributes": []}]
    accounts.refresh()
    known = accounts.ask("SELECT * EXCLUDE observed_at FROM grants, folders")
    script.grants = [grant("a", email=5, scope=["mail"], updated_at=1.5)]
    script.folders = [{"id": "F", "name": 7, "total_count": "7", "attributes": []}]
    accounts.refresh()

    assert accounts.ask("SELECT * EXCLUDE observed_at FROM grants, folders") == known


def test_a_dead_letter_of_an_account_or_a_folder_lasts_until_it_can_be_read(
    scripted: tuple[Script, Accounts],
) -> None:
    script, accounts = scripted
    script.grants = [grant("a"), grant("b", scope=7), {"provider": "imap"}]
    script.folders = [{"id": "F", "name": "F", "total_count": "many"}, {"name": "G"}]
    accounts.refresh()
    assert accounts.ask("SELECT count(*), count(DISTINCT grant_id) FROM dead_letters") == [(6, 2)]

    script.folders = [{"id": "F", "name": "F", "total_count": 1}, {"id": "G", "name": "G"}]
    script.grants = [grant("a"), {"provider": "imap"}, grant("b", grant_status="invalid")]
    accounts.refresh()
    assert accounts.ask("SELECT object, grant_id FROM dead_letters ORDER BY ALL") == [
        ("folder", "b"),
        ("folder", "b"),
        ("grant", None),
    ]


def test_what_cannot_be_read_has_not_vanished(scripted: tuple[Script, Accounts]) -> None:
    script, accounts = scripted
    script.grants = [grant("a"), grant("b"), grant("c")]
    script.folders = [{"id": "F", "name": "F"}, {"id": "G", "name": "G"}]
    accounts.refresh()
    script.grants = [grant("a"), grant("b", provider=7)]
    script.folders = [{"id": "F", "name": "F"}, {"name": "G"}]
    grants, folders = accounts.refresh()

    assert (grants.vanished, grants.unreadable) == (1, 1)
    assert accounts.ask("SELECT id FROM grants ORDER BY id") == [("a",), ("b",)]
    assert (folders.vanished, folders.unreadable) == (0, 2)
    script.folders = [{"id": "F", "name": "F", "total_count": "many"}]
    assert accounts.refresh()[1].vanished == 2
    assert accounts.ask("SELECT DISTINCT id FROM folders WHERE grant_id != 'c'") == [("F",)]

    # A record without an id may be any of them.
    script.grants = [{"provider": "imap"}]
    assert refresh_grants(accounts.settings).vanished == 0
    assert accounts.ask("SELECT id FROM grants ORDER BY id") == [("a",), ("b",)]


def test_lone_surrogates_in_names_are_repaired(scripted: tuple[Script, Accounts]) -> None:
    script, accounts = scripted
    script.grants = [grant("a", email="\ud800@x.example", note="\udfff")]
    script.folders = [{"id": "F\ud83d", "name": "cut \ud83d"}]
    accounts.refresh()

    assert accounts.ask("SELECT email, extra->>'note' FROM grants") == [("\ufffd@x.example", "\ufffd")]
    assert accounts.ask("SELECT id, name, partition_key FROM folders") == [("F\ufffd", "cut \ufffd", "a/cut")]


def test_a_list_of_grants_that_breaks_off_changes_nothing(scripted: tuple[Script, Accounts]) -> None:
    script, accounts = scripted
    script.grants = [grant(f"g{number:03}") for number in range(300)]
    script.folders = [{"id": "F", "name": "F"}]
    refresh_grants(accounts.settings)
    before = accounts.everything()
    script.grants = script.grants[1:]
    script.broken_after = 250

    with pytest.raises(StopRun):
        refresh_grants(accounts.settings)
    assert accounts.everything() == before


def test_without_a_key_nothing_is_asked(data: Path) -> None:
    for refresh in (refresh_grants, refresh_folders):
        with pytest.raises(StopRun, match="NYLAS_API_KEY is not set"):
            refresh(Settings(data=data, api_uri="http://127.0.0.1:9"))
