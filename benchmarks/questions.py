"""How long does each question take from a cold process, on 2.5 million messages, while four writers write?

    python -m benchmarks.questions [--stored 2500000] [--rounds 3] [--lake FOLDER] [--json]

Each question is a new process that connects and asks once. The writers store pages of 200 messages, five a
second together, as a backfill does. `--lake` takes a folder made by `python -m benchmarks.marts`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.filled import fill
from benchmarks.processes import ROOT, run
from mail_pipeline.lake.upkeep import upkeep
from mail_pipeline.lake.writer import Lake
from mail_pipeline.marts.questions import QUESTIONS
from mail_pipeline.marts.refresh import refresh_marts

_WRITERS = 4


@dataclass(frozen=True, slots=True)
class Figures:
    """One question: medians over the rounds, in milliseconds."""

    question: str
    rows: int
    connect: float
    quiet: float
    """The answer, with nobody writing."""
    written: float
    """The answer, while the writers write."""
    cpu: float
    """CPU of that answer, all threads."""


def measure(data: Path, rounds: int, names: Sequence[str] = tuple(QUESTIONS)) -> list[Figures]:
    """Ask each question of the lake of a data folder, quietly and beside writers."""
    quiet = {name: _asked(data, name, rounds) for name in names}
    with _writers(data):
        beside = {name: _asked(data, name, rounds) for name in names}
    return [
        Figures(
            name,
            int(beside[name][0]["rows"]),
            median(each["connect_ms"] for each in beside[name]),
            median(each["answer_ms"] for each in quiet[name]),
            median(each["answer_ms"] for each in beside[name]),
            median(each["answer_cpu_ms"] for each in beside[name]),
        )
        for name in names
    ]


def _asked(data: Path, name: str, rounds: int) -> list[dict[str, float]]:
    return [run("benchmarks.question", str(data), name).answer for _ in range(rounds)]


@contextmanager
def _writers(data: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.writing", str(data)]
    with ExitStack() as stack:
        for number in range(_WRITERS):
            process = stack.enter_context(
                subprocess.Popen(
                    [*command, str(number)],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.communicate)
            assert process.stdout is not None
            process.stdout.readline()
        yield


def made(data: Path, stored: int) -> None:
    """Make a lake of so many messages, its marts, and do its upkeep, as after a night."""
    fill(data, stored)
    refresh_marts(data)
    with Lake(data) as lake:
        upkeep(lake)


def table(figures: Sequence[Figures]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| question | rows | connect ms | answer ms, quiet | answer ms, four writers | CPU ms |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.question} | {each.rows} | {each.connect:.0f} | {each.quiet:.0f} | {each.written:.0f} "
        f"| {each.cpu:.0f} |"
        for each in figures
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stored", type=int, default=2_500_000, help="messages in the lake")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each question")
    parser.add_argument("--lake", type=Path, help="data folder to ask, made before")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    wanted = parser.parse_args()
    with ExitStack() as stack:
        data = wanted.lake
        if data is None:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "data"
            made(data, wanted.stored)
        figures = measure(data, wanted.rounds)
    print(json.dumps([asdict(each) for each in figures], indent=2) if wanted.json else table(figures))


if __name__ == "__main__":
    main()
