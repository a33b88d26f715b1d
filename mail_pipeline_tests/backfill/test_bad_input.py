"""What is wrong is named with its next step; the rest of the work goes on; nothing stored is lost."""

import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import mail_pipeline
from mail_pipeline.errors import MailPipelineError, StopRun
from mail_pipeline.lake.writer import Lake
from mail_pipeline.simulator import (
    TRANSIENT,
    Fault,
    FaultRule,
    Faults,
    Fleet,
    Limits,
    MailboxSpec,
    Simulator,
)
from mail_pipeline.sync.backfill import MailboxProgress
from mail_pipeline.sync.records import read_messages
from mail_pipeline.sync.streams import mail
from mail_pipeline_tests.backfill.conftest import Serve
from mail_pipeline_tests.backfill.door import Door
from mail_pipeline_tests.backfill.world import World, differences, world

ROOT = os.geteuid() == 0
PROVIDERS = ("google", "microsoft", "imap")


def fleet(messages: int = 60, providers: Iterable[str] = PROVIDERS) -> Fleet:
    specs = [MailboxSpec(each, messages=messages, body_mean=300, user_folders=1) for each in providers]
    return Fleet.generate(6, specs)


def simulator(*rules: FaultRule, messages: int = 60, providers: Iterable[str] = PROVIDERS) -> Simulator:
    return Simulator(fleet(messages, providers), faults=Faults(rules), limits=Limits.off(), irregular=0.0)


@pytest.fixture(autouse=True)
def _discreet_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test whose logs hold anything of the mail."""
    yield
    assert_discreet([caplog.text])


def test_without_a_key_the_run_stops_and_says_where_to_get_one(serve: Serve) -> None:
    world = serve(simulator())
    error = stopped(world, api_key="")
    assert "NYLAS_API_KEY" in error.message
    assert "mail-pipeline demo" in error.next_step
    assert world.simulator.requests == []


def test_a_wrong_key_stops_the_run_and_is_not_repeated(serve: Serve) -> None:
    world = serve(simulator())
    keys = world.register()
    error = stopped(world, keys, api_key="nyk_wrong")
    assert "401" in error.message
    assert "NYLAS_API_KEY" in error.next_step
    assert "nyk_wrong" not in str(error)
    assert {row["state"] for row in world.ledger().values()} == {"registered"}


def test_an_address_where_nothing_answers_stops_the_run(serve: Serve) -> None:
    world = serve(simulator())
    keys = world.register()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
    error = stopped(world, keys, api_uri=nobody)
    assert "NYLAS_API_URI" in error.next_step


def test_an_address_that_is_not_nylas_stops_the_run(serve: Serve, tmp_path: Path) -> None:
    world = serve(simulator())
    keys = world.register()
    with some_website(tmp_path) as address:
        error = stopped(world, keys, api_uri=address)
    assert "NYLAS_API_URI" in error.next_step


def test_a_page_that_stays_malformed_pauses_its_mailbox_alone(serve: Serve) -> None:
    grant_id = fleet().mailbox(0).grant.id
    world = serve(simulator(FaultRule(Fault.MALFORMED, "messages", grant_id=grant_id, first=3, times=None)))
    ended = world.backfill(world.register(), page_size=20)
    paused = ended.pop(grant_id)
    assert {each.state for each in ended.values()} == {"complete"}
    assert (paused.state, paused.pages, paused.messages) == ("paused", 2, 40)
    assert grant_id in (paused.reason or "")
    assert "broken JSON" in (paused.reason or "")
    assert told(world, ended={**ended, grant_id: paused})


def test_a_grant_that_is_refused_midway_keeps_its_pages_and_goes_on_from_them_later(serve: Serve) -> None:
    refused = [mailbox.grant.id for mailbox in fleet() if mailbox.grant.provider != "microsoft"]
    rules = [FaultRule(Fault.GRANT_EXPIRED, "messages", grant_id=each, first=3) for each in refused]
    world = serve(simulator(*rules))
    keys = world.register()
    ended = world.backfill(keys, page_size=20)
    failed = {key: each for key, each in ended.items() if each.grant_id in refused}
    assert {each.state for key, each in ended.items() if key not in failed} == {"complete"}
    assert {each.state for each in failed.values()} == {"complete", "failed"}
    assert sum(each.pages for each in failed.values()) == 2 * 2
    assert sum(each.messages for each in failed.values()) == sum(key[0] in refused for key in world.stored())
    assert all("reconnect" in (each.next_step or "") for each in failed.values() if each.state == "failed")
    assert told(world, ended)
    # The other folders of a refused grant are not even asked for.
    asked = [each for each in world.simulator.requests if each.operation == "messages"]
    assert sum(each.grant_id in refused for each in asked) == 2 * 3

    ended = world.backfill(keys, page_size=20)

    assert {each.state for each in ended.values()} == {"complete"}
    assert {(each.reason, each.next_step) for each in ended.values()} == {(None, None)}
    pages = [
        (each.grant_id, each.folder_id, each.page_token)
        for each in world.simulator.requests
        if each.operation == "messages" and each.status == 200
    ]
    assert len(pages) == len(set(pages))
    assert differences(world.stored(), world.served()) == {}


def test_a_folder_that_is_gone_fails_alone_and_says_what_to_refresh(serve: Serve) -> None:
    world = serve(simulator())
    keys = world.register()
    grant_id = world.grant_id("imap")
    world.simulator.vanish(grant_id, "INBOX.Sent")
    ended = world.backfill(keys)
    gone = [each for each in ended.values() if each.folder_id == "INBOX.Sent"]
    assert [each.state for each in gone] == ["failed"]
    assert {each.state for each in ended.values() if each not in gone} == {"complete"}
    assert "refresh" in (gone[0].next_step or "")
    assert told(world, ended)


def test_a_partition_that_does_not_exist_fails_alone_and_nothing_is_asked_for_it(serve: Serve) -> None:
    world = serve(simulator(providers=["google"]))
    (key,) = world.register()
    unknown = ["no-such-grant", f"{key}/INBOX", "", "a/b/c", "x'; DROP TABLE checkpoints; --"]
    ended = world.backfill([*unknown, key, key])
    assert ended.pop(key).state == "complete"
    assert list(ended) == unknown
    for each in ended.values():
        assert each.state == "failed"
        assert not each.succeeded
        assert "no such mailbox" in (each.reason or "")
        assert "refresh_accounts" in (each.next_step or "")
    assert {each.grant_id for each in world.simulator.requests} == {None, key}


def test_a_grant_whose_id_has_a_slash_is_worked_under_its_own_name(serve: Serve) -> None:
    world = serve(simulator(providers=["google"]))
    (key,) = world.register()
    with Lake(world.data) as lake, lake.transaction() as transaction:
        transaction.change("all_grants", "UPDATE all_grants SET id = 'a/b'")
    ended = world.backfill(["a/b"])
    assert ended["a/b"].state == "failed"
    assert "404" in (ended["a/b"].reason or "")
    assert world.ask("SELECT grant_id, state FROM mailboxes WHERE active") == [("a/b", "failed")]
    assert {each.grant_id for each in world.simulator.requests} == {None, key}


def test_a_provider_nobody_knows_is_listed_in_one_pass_and_one_without_mail_not_at_all(serve: Serve) -> None:
    world = serve(simulator(providers=["zimbra", "virtual-calendar"]))
    keys = world.register()
    assert keys == [world.grant_id("zimbra")]
    assert {each.state for each in world.backfill(keys).values()} == {"complete"}
    served = {key: mail for key, mail in world.served().items() if key[0] == keys[0]}
    assert differences(world.stored(), served) == {}


def test_an_unexpected_error_fails_its_mailbox_alone_and_is_logged_without_what_it_says(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = serve(simulator())
    grant_id = fleet().mailbox(0).grant.id
    subject = next(iter(world.simulator.truth(grant_id)))["subject"]

    def chokes(records: list[Any], **options: Any) -> Any:
        if any(record["grant_id"] == grant_id for record in records):
            raise RuntimeError(f"no rule for {subject}")
        return read_messages(records, **options)

    monkeypatch.setattr(mail, "read_messages", chokes)
    ended = world.backfill(world.register())

    failed = ended.pop(grant_id)
    assert {each.state for each in ended.values()} == {"complete"}
    assert (failed.state, failed.reason) == ("failed", "An unexpected RuntimeError stopped the mailbox")
    assert f"messages of grant {grant_id} stopped by an unexpected builtins.RuntimeError" in caplog.text
    assert "in chokes" in caplog.text
    assert subject not in caplog.text


def test_a_lake_of_a_newer_version_is_left_alone(serve: Serve) -> None:
    world = serve(simulator(providers=["google"]))
    keys = world.register()
    with Lake(world.data) as lake, lake.transaction() as transaction:
        transaction.change("schema_versions", "INSERT INTO schema_versions VALUES (99, now())")
    before = len(world.simulator.requests)
    error = stopped(world, keys)
    assert "99" in error.message
    assert "Update" in error.next_step
    assert len(world.simulator.requests) == before


def test_whatever_does_not_end_pauses_its_mailbox_within_its_patience(serve: Serve) -> None:
    kinds = sorted(TRANSIENT - {Fault.REPEATED_RECORDS, Fault.DRIP})
    grants = [mailbox.grant.id for mailbox in fleet(40, ["google"] * len(kinds))]
    rules = [
        FaultRule(fault, "messages", grant_id=grant_id, first=2, times=None, seconds=5)
        for fault, grant_id in zip(kinds, grants, strict=True)
    ]
    world = serve(simulator(*rules, messages=40, providers=["google"] * len(kinds)))
    ended = world.backfill(world.register(), settings=world.settings(patience=0.0), page_size=20)
    assert {key: (each.state, each.pages, each.messages) for key, each in ended.items()} == dict.fromkeys(
        grants, ("paused", 1, 20)
    )
    assert told(world, ended)


HOSTILE: dict[str, Any] = {
    "nothing": None,
    "a number": 7,
    "a list": [],
    "an empty object": {},
    "an id that is a number": {"id": 7},
    "an id that is empty": {"id": ""},
    "an id with a lone surrogate": {"id": "\ud800"},
    "an id with a NUL": {"id": "nul\0"},
    "an id of 100,000 characters": {"id": "x" * 100_000},
    "a date long ago": {"id": "h1", "date": -1},
    "a date far off": {"id": "h2", "date": 10**15},
    "a date with a fraction": {"id": "h3", "date": 1.5},
    "a date that is true": {"id": "h4", "date": True},
    "a body that is an object": {"id": "h5", "body": {"html": "x"}},
    "people that are texts": {"id": "h6", "to": ["somebody@oak.example"]},
    "people without anything": {"id": "h7", "to": [{}], "cc": [{"email": None}]},
    "a person's name that is a number": {"id": "h8", "from": [{"name": 7, "email": "x@oak.example"}]},
    "folders that are numbers": {"id": "h9", "folders": [1]},
    "attachments that are texts": {"id": "h10", "attachments": ["x"]},
    "an attachment of negative size": {"id": "h11", "attachments": [{"id": "a", "size": -1}]},
    "an attachment of huge size": {"id": "h12", "attachments": [{"id": "a", "size": 2**80}]},
    "an attachment without anything": {"id": "h13", "attachments": [{}]},
    "flags that are texts": {"id": "h14", "unread": "yes"},
    "an unknown field nested deeply": {"id": "h15", "nested": json.loads("[" * 300 + "]" * 300)},
    "an unknown field with a huge number": {"id": "h16", "huge": 10**30},
    "an unknown field with an infinite number": {"id": "h17", "huge": float("inf")},
    "an unknown field that is no number": {"id": "h18", "huge": float("nan")},
    "an unknown field with a NUL": {"id": "h19", "x": {"a\0b": "c\0d"}},
    "an unknown field with a lone surrogate": {"id": "h20", "x": {"\udfff": ["\ud800"]}},
    "a subject with a NUL": {"id": "h21", "subject": "a\0b"},
    "a subject with a lone surrogate": {"id": "h22", "subject": "a\ud800b"},
    "a folder with a lone surrogate": {"id": "h23", "folders": ["\ud800"]},
    "a filename with a NUL": {"id": "h24", "attachments": [{"id": "a\0", "filename": "\0"}]},
    "a thread with a NUL": {"id": "h25", "thread_id": "\0"},
    "a folder with a NUL": {"id": "h26", "folders": ["~\0"]},
    "people with a NUL": {"id": "h27", "from": [{"name": "\0", "email": "~\0@oak.example"}]},
    "an unknown field nested to any depth": {"id": "h28", "nested": "DEEP"},
    "an unknown field with a number of any length": {"id": "h29", "huge": "DIGITS"},
    "a subject that is not UTF-8": {"id": "h30", "subject": "LATIN"},
}
UNWRITABLE = {
    b'"DEEP"': b"[" * 5_000 + b"]" * 5_000,
    b'"DIGITS"': b"7" * 5_000,
    b'"LATIN"': b'"caf\xe9"',
}
"""What no encoder writes, by what stands for it until the bytes are there."""


@pytest.mark.parametrize("provider", ["google", "imap"])
def test_no_record_whatever_it_holds_stops_its_mailbox_or_is_lost(serve: Serve, provider: str) -> None:
    simulated = simulator(providers=[provider])
    door = Door(simulated)
    door.edit(lambda asked: asked.operation == "messages" and asked.number == 1, with_hostile_records)
    world = serve(simulated)
    ended = world.backfill(world.register(), page_size=20)
    assert {each.state for each in ended.values()} == {"complete"}
    stored = world.stored()
    served = world.served()
    assert differences({key: mail for key, mail in stored.items() if key in served}, served) == {}
    extra = {identity for _, identity in stored.keys() - served.keys()}
    letters = world.ask("SELECT object_id, reason, stored, raw FROM dead_letters")
    kept = {identity for identity, _, repaired, _ in letters if not repaired}
    assert len(extra) + sum(not repaired for _, _, repaired, _ in letters) == len(HOSTILE)
    assert not extra & kept
    assert_discreet([reason for _, reason, _, _ in letters])


@pytest.mark.skipif(not ROOT, reason="only root may mount a small disk")
def test_a_full_disk_stops_the_run_and_with_more_room_it_goes_on_from_there(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    two = simulator(messages=400, providers=["google", "ews"])
    with mounted(disk, "size=30m"), world(two, disk / "data") as small:
        keys = small.register()
        rest = shutil.disk_usage(disk).free - 400_000
        (disk / "other").write_bytes(bytes(rest))

        error = stopped(small, keys, page_size=20)

        assert "is full" in error.message
        assert "Free some space" in error.next_step
        before, served = small.stored(), small.served()
        assert sum(row["messages"] for row in small.ledger().values()) == len(before)
        assert differences(before, {key: served[key] for key in before}) == {}
        (disk / "other").unlink()
        assert {each.state for each in small.backfill(keys).values()} == {"complete"}
        assert differences(small.stored(), served) == {}


@pytest.mark.skipif(not ROOT, reason="only root may mount a read-only disk")
def test_a_read_only_data_folder_stops_the_run_and_a_copy_of_it_can_be_read(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "size=100m"), world(simulator(providers=["google"]), disk / "data") as fixed:
        keys = fixed.register()
        fixed.backfill(keys, max_pages=1, page_size=20)
        fixed.close()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        error = stopped(fixed, keys)
        assert "cannot be written" in error.message
        assert "MAIL_PIPELINE_DATA" in error.next_step
        with pytest.raises(StopRun, match="copy the folder and read the copy"):
            mail_pipeline.connect(fixed.data)
        shutil.copytree(fixed.data, tmp_path / "copy")
        fixed.data = tmp_path / "copy"
        assert len(fixed.stored()) == 20


def test_a_file_where_the_data_folder_should_be_stops_the_run(serve: Serve) -> None:
    world = serve(simulator())
    world.data.write_text("")
    assert "a file stands in its way" in stopped(world, ["any"]).message


def with_hostile_records(answer: dict[str, Any]) -> bytes:
    answer["data"] = [*HOSTILE.values(), *answer["data"]]
    body = json.dumps(answer).encode()
    for stand_in, sent in UNWRITABLE.items():
        body = body.replace(stand_in, sent)
    return body


def stopped(
    world: World, keys: Iterable[str] = ("any",), *, page_size: int | None = None, **changes: Any
) -> MailPipelineError:
    """Return the error that stops a backfill; it names a next step and nothing private."""
    with pytest.raises(StopRun) as caught:
        world.backfill(keys, settings=world.settings(**changes), page_size=page_size)
    assert caught.value.next_step
    assert_discreet([str(caught.value)])
    return caught.value


def told(world: World, ended: dict[str, MailboxProgress]) -> bool:
    """Return whether the ledger tells of each mailbox what its last word told, and both are discreet."""
    ledger = world.ledger()
    assert_discreet([f"{each.reason} {each.next_step}" for each in ended.values()])
    return all(
        (each.state, each.reason, each.next_step, each.messages)
        == tuple(ledger[key][name] for name in ("state", "reason", "next_step", "messages"))
        and bool(each.reason) == bool(each.next_step) == (each.state in {"paused", "failed"})
        for key, each in ended.items()
    )


def assert_discreet(texts: Iterable[str]) -> None:
    """Fail where a text holds an address, a subject, an id or the beginning of a simulated body."""
    text = "\n".join(texts)
    assert not re.search(r"[\w.+-]+@[\w-]+\.\w+", text), text
    for mailbox in fleet():
        for number in range(len(mailbox)):
            message = mailbox.message(number)
            assert message["id"] not in text
            for name in ("subject", "snippet"):
                assert len(message.get(name) or "") < 8 or message[name] not in text


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def some_website(folder: Path) -> Iterator[str]:
    class Pages(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
