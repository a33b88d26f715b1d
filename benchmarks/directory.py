"""What does it cost to mirror an account with many contacts, or many events in many calendars?

    python -m benchmarks.directory [--contacts 10000] [--events 20000] [--calendars 30] [--json]

The simulator serves from a process of its own; the figures are of the process that mirrors. What is stored is
held against what is served, record by record.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import mail_pipeline
from mail_pipeline.settings import Settings
from mail_pipeline.simulator import API_KEY, Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline.sync.accounts import refresh_grants
from mail_pipeline.sync.mirror import mirror
from mail_pipeline.sync.position import BackfillOptions
from mail_pipeline.sync.streams import CONTACTS, EVENTS, RecordStream

_PROVIDERS = ("google", "microsoft")
_STORED = {
    "contacts": "SELECT id FROM contacts WHERE grant_id = ? ORDER BY ALL",
    "events": "SELECT calendar_id, id FROM events WHERE grant_id = ? ORDER BY ALL",
}


@dataclass(frozen=True)
class Figure:
    """One stream of one account: seconds are of the whole, the writing of the lake included."""

    stream: str
    provider: str
    records: int
    requests: int
    wall_seconds: float
    cpu_seconds: float
    again_cpu_seconds: float
    """Of a second full pass that finds nothing changed."""
    exact: bool
    """The lake holds the ids that are served, and no other."""


def measure(contacts: int, events: int, calendars: int, folder: Path) -> list[Figure]:
    """Mirror one account of each provider, stream by stream."""
    figures = []
    specs = [
        MailboxSpec(name, messages=0, contacts=contacts, events=events, calendars=calendars)
        for name in _PROVIDERS
    ]
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(specs, theirs), daemon=True)
    process.start()
    try:
        address, grants = ours.recv()
        settings = Settings(
            api_key=API_KEY, api_uri=address, data=folder, min_page_interval=0.0, google_units_per_second=1e6
        )
        refresh_grants(settings)
        for stream in (CONTACTS, EVENTS):
            for provider, grant_id in zip(_PROVIDERS, grants, strict=True):
                figures.append(_figure(stream, provider, grant_id, settings, ours))
    finally:
        process.terminate()
        process.join()
    return figures


def _figure(
    stream: RecordStream, provider: str, grant_id: str, settings: Settings, simulator: Connection
) -> Figure:
    wall, cpu = time.perf_counter(), time.process_time()
    (word,) = mirror(stream, [grant_id], settings=settings)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    again = time.process_time()
    list(mirror(stream, [grant_id], settings=settings, options=BackfillOptions(full_resync=True)))
    again = time.process_time() - again
    simulator.send((grant_id, stream.name))
    served = simulator.recv()
    with mail_pipeline.connect(settings.data) as lake:
        found = lake.execute(_STORED[stream.name], [grant_id]).fetchall()
    return Figure(
        stream.name,
        provider,
        len(found),
        word.requests,
        round(wall, 2),
        round(cpu, 2),
        round(again, 2),
        found == served,
    )


def _serve(specs: list[MailboxSpec], asked: Connection) -> None:
    """Serve these mailboxes, and tell what is served of which grant and stream until the end."""
    simulator = Simulator(Fleet.generate(1, specs), limits=Limits.off(), irregular=0.0)
    with simulator.serve() as address:
        asked.send((address, [mailbox.grant.id for mailbox in simulator.fleet]))
        while True:
            grant_id, stream = asked.recv()
            names = ("calendar_id", "id") if stream == "events" else ("id",)
            records = simulator.truth(grant_id, stream)
            asked.send(sorted(tuple(record[name] for name in names) for record in records))


def table(figures: list[Figure]) -> str:
    """Return the figures as a table of Markdown."""
    names = list(asdict(figures[0]))
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, asdict(each).values()))} |" for each in figures)])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--contacts", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--calendars", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(asked.contacts, asked.events, asked.calendars, Path(folder))
    print(json.dumps([asdict(each) for each in figures]) if asked.json else table(figures))


if __name__ == "__main__":
    main()
