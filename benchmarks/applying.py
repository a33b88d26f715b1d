"""What does it cost to apply a batch of notifications? An empty lake and a full one, in turn, in one run.

    python -m benchmarks.applying [--stored 2000000] [--notifications 500] [--grants 300] [--json]

Half of the notifications are about messages the full lake holds: read, moved and deleted ones, spread over
all of it. The full lake is filled with SQL, in the shape in which upkeep leaves it.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import orjson

from mail_pipeline.inbox.landing import Delivery, Landing
from mail_pipeline.lake.writer import Lake
from mail_pipeline.settings import Settings
from mail_pipeline.sync.apply import apply

_NOW = 1_780_000_000
_FILL = (
    (
        "all_grants",
        """
        INSERT INTO all_grants BY NAME SELECT 'grant-' || g AS id, 'microsoft' AS provider, 'valid' AS status,
            false AS per_folder, now() AS observed_at FROM range($grants) t(g)
        """,
        ("grants",),
    ),
    (
        "all_messages",
        """
        INSERT INTO all_messages BY NAME SELECT 'grant-' || (n % $grants) AS grant_id, 'message-' || n AS id,
            'thread-' || (n // 4) AS thread_id, 'Subject ' || n AS subject, 'Sender' AS from_name,
            'sender-' || (n % 5000) || '@example.org' AS from_address,
            to_timestamp($now - 30 * n) AS date, ['INBOX'] AS folders, n % 5 = 0 AS unread, false AS starred,
            'The first words of message ' || n AS snippet, false AS has_attachments, 0 AS attachment_count,
            0 AS attachment_bytes, 100 AS body_bytes, hash(n) AS body_hash, to_timestamp($now) AS observed_at
        FROM range($stored) t(n) ORDER BY ALL
        """,
        ("grants", "stored", "now"),
    ),
    (
        "message_participants",
        """
        INSERT INTO message_participants BY NAME SELECT 'grant-' || (n % $grants) AS grant_id,
            'message-' || n AS message_id, role, 0 AS position, 'Name' AS name, role || n % 5000 AS address,
            role || n % 5000 AS address_canonical, 'example.org' AS domain
        FROM range($stored) t(n), (VALUES ('from'), ('to'), ('cc')) r(role) ORDER BY ALL
        """,
        ("grants", "stored"),
    ),
    (
        "message_folders",
        """
        INSERT INTO message_folders BY NAME SELECT 'grant-' || (n % $grants) AS grant_id,
            'message-' || n AS message_id, 'INBOX' AS folder_id FROM range($stored) t(n) ORDER BY ALL
        """,
        ("grants", "stored"),
    ),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """One lake over all rounds; seconds of a whole `apply`, opening the lake included."""

    lake: str
    notifications: int
    wall_median: float
    cpu_median: float
    wall_ratio: float
    cpu_ratio: float


def measure(stored: int, notifications: int, grants: int, rounds: int) -> list[Figures]:
    """Apply a batch per round to each lake. Raises RuntimeError where not all of it was applied."""
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as full:
        lakes = {"empty": Path(empty), f"{stored:,} messages": Path(full)}
        for data, messages in zip(lakes.values(), (0, stored), strict=True):
            _fill(data, grants, messages)
        walls: dict[str, list[float]] = {name: [] for name in lakes}
        cpus: dict[str, list[float]] = {name: [] for name in lakes}
        for number in range(rounds):
            batch = [_notification(chance, number, n, grants, stored) for n in range(notifications)]
            for name, data in lakes.items():
                wall, cpu = _apply(data, batch)
                walls[name].append(wall)
                cpus[name].append(cpu)
    base_wall, base_cpu = median(walls["empty"]), median(cpus["empty"])
    return [
        Figures(
            name,
            notifications,
            median(walls[name]),
            median(cpus[name]),
            median(walls[name]) / base_wall,
            median(cpus[name]) / base_cpu,
        )
        for name in lakes
    ]


def _fill(data: Path, grants: int, stored: int) -> None:
    values = {"grants": grants, "stored": stored, "now": _NOW}
    with Lake(data) as lake:
        for table, statement, names in _FILL:
            with lake.transaction() as transaction:
                transaction.change(table, statement, {name: values[name] for name in names})


def _apply(data: Path, batch: Sequence[bytes]) -> tuple[float, float]:
    settings = Settings(data=data)
    with Landing.open(settings) as landing:
        landing.store([Delivery(time.time(), {"content-type": "application/json"}, body) for body in batch])
    wall, cpu = time.perf_counter(), time.process_time()
    report = apply(settings)
    spent = time.perf_counter() - wall, time.process_time() - cpu
    if report.count("applied") != len(batch):
        raise RuntimeError(f"of {len(batch)} notifications {report.count('applied')} were applied")
    return spent


def _notification(chance: random.Random, number: int, n: int, grants: int, stored: int) -> bytes:
    known = chance.randrange(stored) if n % 2 else None
    grant = (known if known is not None else n) % grants
    identity = f"new-{number}-{n}" if known is None else f"message-{known}"
    trigger = "message.created" if known is None else chance.choice(["message.updated", "message.deleted"])
    record: dict[str, object] = {"id": identity, "grant_id": f"grant-{grant}", "object": "message"}
    if trigger != "message.deleted":
        record |= {
            "subject": "A subject",
            "from": [{"name": "Sender", "email": "sender@example.org"}],
            "to": [{"name": "Owner", "email": "owner@example.org"}],
            "date": _NOW + n,
            "folders": ["INBOX"],
            "unread": False,
            "starred": True,
            "snippet": "Words",
            "body": "<p>Words</p>" * 100,
        }
    envelope = {
        "specversion": "1.0",
        "type": trigger,
        "source": "/microsoft/emails/realtime",
        "id": f"{number}-{n}",
        "time": _NOW + 1 + number,
        "data": {"application_id": "benchmark", "object": record},
    }
    return orjson.dumps(envelope)


def table(figures: Sequence[Figures]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| lake | notifications | wall median s | CPU median s | wall / empty | CPU / empty |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.lake} | {each.notifications:,} | {each.wall_median:.2f} | {each.cpu_median:.2f}"
        f" | {each.wall_ratio:.2f} | {each.cpu_ratio:.2f} |"
        for each in figures
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stored", type=int, default=2_000_000, help="messages in the full lake")
    parser.add_argument("--notifications", type=int, default=500, help="in one batch")
    parser.add_argument("--grants", type=int, default=300, help="over so many grants")
    parser.add_argument("--rounds", type=int, default=5, help="batches for each lake")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    wanted = parser.parse_args()
    figures = measure(wanted.stored, wanted.notifications, wanted.grants, wanted.rounds)
    print(json.dumps([asdict(each) for each in figures], indent=2) if wanted.json else table(figures))


if __name__ == "__main__":
    main()
