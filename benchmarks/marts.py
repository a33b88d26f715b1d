"""What does a refresh of the marts cost after 1,000 new messages, beside a build from nothing?

    python -m benchmarks.marts [--stored 2500000] [--new 1000] [--rounds 3] [--lake FOLDER] [--json]

New messages are spread over all accounts, which is the worst they can be. With `--lake` the lake is kept
there, for `python -m benchmarks.questions --lake FOLDER`.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from benchmarks.filled import add, fill
from mail_pipeline.lake.upkeep import upkeep
from mail_pipeline.lake.writer import Lake
from mail_pipeline.marts.refresh import refresh_marts


@dataclass(frozen=True, slots=True)
class Figures:
    """One kind of refresh; medians where there are several rounds."""

    refresh: str
    messages: int
    """Looked at in one refresh."""
    rows_written: int
    wall: float
    cpu: float
    """Seconds of the whole process, opening the lake included."""


def measure(stored: int, new: int, rounds: int, data: Path) -> list[Figures]:
    """Make a lake in an empty folder and refresh it: from nothing, with nothing new, after so many new."""
    fill(data, stored)
    first = _refresh(data, "from nothing")
    with Lake(data) as lake:
        upkeep(lake)
    nothing = _refresh(data, "nothing new")
    after = []
    for number in range(rounds):
        with Lake(data) as lake:
            add(lake, stored + number * new, new, total=stored)
        after.append(_refresh(data, f"{new:,} new"))
    middle = Figures(
        after[0].refresh,
        after[0].messages,
        after[0].rows_written,
        median(each.wall for each in after),
        median(each.cpu for each in after),
    )
    return [first, nothing, middle]


def _refresh(data: Path, name: str) -> Figures:
    wall, cpu = perf_counter(), process_time()
    report = refresh_marts(data)
    return Figures(
        name, report.messages, sum(report.written.values()), perf_counter() - wall, process_time() - cpu
    )


def table(figures: Sequence[Figures]) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| refresh | messages looked at | rows written | wall s | CPU s |", "|---|---|---|---|---|"]
    lines += [
        f"| {each.refresh} | {each.messages:,} | {each.rows_written:,} | {each.wall:.1f} | {each.cpu:.1f} |"
        for each in figures
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stored", type=int, default=2_500_000, help="messages in the lake")
    parser.add_argument("--new", type=int, default=1_000, help="messages before each refresh")
    parser.add_argument("--rounds", type=int, default=3, help="refreshes after new messages")
    parser.add_argument("--lake", type=Path, help="data folder to make and keep; must not exist")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    wanted = parser.parse_args()
    with ExitStack() as stack:
        data = wanted.lake or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "data"
        figures = measure(wanted.stored, wanted.new, wanted.rounds, data)
    print(json.dumps([asdict(each) for each in figures], indent=2) if wanted.json else table(figures))


if __name__ == "__main__":
    main()
