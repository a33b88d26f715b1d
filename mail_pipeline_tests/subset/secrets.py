"""Texts that must not be found, and every place under a data folder where one could be."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb

import mail_pipeline
from mail_pipeline.lake.schema import STORED
from mail_pipeline.sync.mirror import mirror
from mail_pipeline.sync.streams import CONTACTS, EVENTS
from mail_pipeline_tests.subset.mirrored import Mirrored

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


def needles(found: Mirrored, grants: Iterable[str] | None = None) -> set[str]:
    """Return every text that must not be found: of all that is served now, or only of these grants."""
    secrets: set[str] = set()
    for grant in found.names.values() if grants is None else grants:
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
