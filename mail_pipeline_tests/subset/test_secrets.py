"""What is left out is nowhere under the data folder: in no table, no file, no earlier state of either."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

import mail_pipeline
from mail_pipeline.erasure import erase_excluded
from mail_pipeline.inbox.landing import Delivery
from mail_pipeline.lake.schema import STORED
from mail_pipeline.marts.refresh import refresh_marts
from mail_pipeline.marts.texts import refresh_texts
from mail_pipeline.simulator import SPOILING, Faults
from mail_pipeline.subset import read_subsets
from mail_pipeline.sync.mirror import mirror
from mail_pipeline.sync.removal import stored_excluded
from mail_pipeline.sync.streams import CONTACTS, EVENTS
from mail_pipeline_tests.subset.mirrored import EWS, GOOGLE, Mirrored, mirrored

PRIVATE = """
bodies = false
snippets = false
exclude_message_fields = ["subject"]
exclude_folders = ["Secret*"]
exclude_contact_fields = ["company_name", "job_title"]
exclude_event_fields = ["title", "location"]
hash_addresses = true
[provider.google]
calendars = false
events = false
"""
TOLD = {"given_name", "surname", "notes", "company_name", "job_title", "title", "location", "description"}
LEAST = 9
"""Shorter texts may stand somewhere by chance."""


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def needles(found: Mirrored) -> set[str]:
    """Return every text that must not be found: of all that is served now."""
    secrets: set[str] = set()
    for grant in found.names.values():
        for message in found.world.simulator.truth(grant):
            secrets |= {
                message.get("subject") or "",
                (message.get("body") or "")[:60],
                message.get("snippet") or "",
            }
            for role in ("from", "to", "cc", "bcc", "reply_to"):
                secrets |= set(texts(message.get(role) or []))
        for stream in ("contacts", "events"):
            for record in found.world.simulator.truth(grant, stream):
                secrets |= {text for name in TOLD for text in texts(record.get(name))}
                people = {name: value for name, value in record.items() if name not in {"id", "ical_uid"}}
                secrets |= {text for text in texts(people) if "@" in text and not {" ", ":"} & set(text)}
    return {each for each in secrets if len(each) >= LEAST}


def haystacks(data: Path) -> Iterator[tuple[str, str]]:
    """Yield all there is under the data folder as text: files as they are, and what compressed ones hold."""
    for file in sorted(data.rglob("*")):
        if file.is_file():
            yield str(file.relative_to(data)), file.read_bytes().decode("utf-8", "ignore")
            if file.suffix == ".parquet":
                rows = duckdb.execute("SELECT * FROM read_parquet(?)", [str(file)]).fetchall()
                yield f"rows of {file.relative_to(data)}", repr(rows)
    with mail_pipeline.connect(data) as connection:
        for table in STORED:
            yield f"table {table.name}", repr(connection.execute(f"FROM {table.name}").fetchall())


def leaks(found: Mirrored, secrets: set[str]) -> set[tuple[str, str]]:
    forms = {each: {each, json.dumps(each)[1:-1], repr(each)[1:-1]} for each in secrets}
    return {
        (place, secret)
        for place, text in haystacks(found.world.data)
        for secret, written in forms.items()
        if any(form in text for form in written)
    }


def directory(found: Mirrored) -> None:
    for stream in (CONTACTS, EVENTS):
        list(mirror(stream, list(found.names.values()), settings=found.world.settings()))


def live(found: Mirrored) -> None:
    """Let things happen, be told of them, and sweep."""
    provider = found.world.simulator.provider
    found.world.follow()
    for grant in found.names.values():
        secret = provider.create_folder(grant, "Secret plans")
        newest, *_ = found.world.simulator.truth(grant)
        provider.arrive(
            grant, subject="A zebrafish of a subject", body="A zebrafish of a body", size=2_000_000
        )
        provider.arrive(grant, subject="Zebrafish in a folder", body="Zebrafish too", folders=[secret])
        provider.edit(grant, newest["id"], subject="Another zebrafish", body="Another zebrafish of a body")
    found.world.settle()
    found.world.simulator.clock.advance(2)
    assert found.world.reconcile().succeeded


def test_planted_secrets_are_nowhere_under_the_data_folder(tmp_path: Path) -> None:
    faults = Faults(rate=0.5, kinds=SPOILING, seed=4)
    with mirrored(tmp_path, PRIVATE, EWS, faults=faults) as found:
        found.mirror()
        directory(found)
        live(found)
        for body in (b"zebrafish, and no JSON", b'{"type":"message.created","data":{"object":"zebrafish"}}'):
            with found.world.landing() as landing:
                landing.store([Delivery(1.0, {"content-type": "application/json"}, body)])
        found.world.apply()
        secrets = needles(found)
        assert len(secrets) > 30
        assert found.world.ask("SELECT count(*) > 0 FROM dead_letters") == [(True,)]
        assert len(found.world.stored()) > 5
        assert leaks(found, secrets | {"zebrafish", "Zebrafish"}) == set()


def test_what_was_stored_before_it_was_excluded_stays_until_it_is_removed_and_is_then_gone(
    tmp_path: Path,
) -> None:
    with mirrored(tmp_path, "", GOOGLE) as found:
        found.mirror()
        directory(found)
        live(found)
        before = found.world.stored()
        refresh_marts(found.world.data)
        refresh_texts(found.world.data)
        found.want(PRIVATE)
        found.world.register()
        found.mirror()
        with mail_pipeline.connect(found.world.data) as connection:
            outside, more = stored_excluded(connection, read_subsets(found.world.settings()))
        assert found.world.stored() == before
        assert outside == len(found.names)
        assert outside + more == len(before)

        report = erase_excluded(found.world.settings())
        found.world.close()
        assert (report.messages, report.narrowed) == (outside, more)
        assert report.records > 0
        assert report.notifications > 0
        with mail_pipeline.connect(found.world.data) as connection:
            assert stored_excluded(connection, read_subsets(found.world.settings())) == (0, 0)
        # Nor in the marts and texts that were made of it.
        assert leaks(found, needles(found) | {"zebrafish", "Zebrafish"}) == set()
        assert found.world.orphans() == {}

        again = erase_excluded(found.world.settings())
        assert (again.messages, again.narrowed, again.records, again.notifications) == (0, 0, 0, 0)

        found.world.close()
        found.want("")
        found.mirror()
        assert found.wrong() == {}
