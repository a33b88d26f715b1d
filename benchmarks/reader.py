"""Is a backfill slower while somebody reads? Four mailboxes with and without a notebook that keeps asking.

    python -m benchmarks.reader [--messages 40000] [--rounds 5] [--json]

Both run in turn, so that a busy machine is busy for both. At the pace the API wants, and as fast as it goes:
there, engine, server and reader compete for the processors.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.processes import ROOT, Usage, run, serving

_MAILBOXES = 4
PACES = {"the API's pace": "0.2", "as fast as it goes": "0"}
"""Seconds between two pages of a mailbox."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One pace over all rounds; seconds are medians of the engine's process, ratios medians of pairs."""

    pace: str
    messages: int
    wall_alone: float
    wall_read: float
    wall_ratio: float
    cpu_alone: float
    cpu_read: float
    cpu_ratio: float
    questions: int
    """Asked in all rounds."""
    question_milliseconds: float
    """What one took on the average, a new connection for every other one included."""


def measure(messages: int, rounds: int, paces: Iterable[str] = tuple(PACES)) -> list[Figures]:
    """Run each pace in pairs. Raises where the engine, or a reader, fails."""
    with serving(mailboxes=_MAILBOXES, messages=messages) as address:
        return [_measure(address, messages, rounds, pace) for pace in paces]


def _measure(address: str, messages: int, rounds: int, pace: str) -> Figures:
    alone: list[Usage] = []
    read: list[Usage] = []
    asked: list[dict[str, float]] = []
    for number in range(rounds):
        # Whoever comes second finds the machine warmer.
        for with_reader in (False, True) if number % 2 else (True, False):
            with tempfile.TemporaryDirectory() as data:
                if with_reader:
                    with _reader(Path(data), asked):
                        read.append(_engine(address, data, pace))
                else:
                    alone.append(_engine(address, data, pace))
    pairs = list(zip(alone, read, strict=True))
    questions = sum(int(each["questions"]) for each in asked)
    return Figures(
        pace=pace,
        messages=messages,
        wall_alone=median(each.wall for each in alone),
        wall_read=median(each.wall for each in read),
        wall_ratio=median(with_reader.wall / without.wall for without, with_reader in pairs),
        cpu_alone=median(each.cpu for each in alone),
        cpu_read=median(each.cpu for each in read),
        cpu_ratio=median(with_reader.cpu / without.cpu for without, with_reader in pairs),
        questions=questions,
        question_milliseconds=1000 * sum(each["seconds"] for each in asked) / max(questions, 1),
    )


def _engine(address: str, data: str, pace: str) -> Usage:
    return run(
        "benchmarks.engine", address, data, environment={"MAIL_PIPELINE_MIN_PAGE_INTERVAL": PACES[pace]}
    )


@contextmanager
def _reader(data: Path, asked: list[dict[str, float]]) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.asking", str(data)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield
        output, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    asked.append(json.loads(output))


def table(figures: Sequence[Figures]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| pace | messages | wall alone s | wall read s | ratio | CPU alone s | CPU read s | ratio"
        " | questions | ms each |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in figures:
        cells = [
            each.pace,
            f"{each.messages:,}",
            f"{each.wall_alone:.2f}",
            f"{each.wall_read:.2f}",
            f"{each.wall_ratio:.2f}",
            f"{each.cpu_alone:.2f}",
            f"{each.cpu_read:.2f}",
            f"{each.cpu_ratio:.2f}",
            f"{each.questions}",
            f"{each.question_milliseconds:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=40_000, help="in all four mailboxes together")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs for each pace")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    wanted = parser.parse_args()
    figures = measure(wanted.messages, wanted.rounds)
    print(json.dumps([asdict(each) for each in figures], indent=2) if wanted.json else table(figures))


if __name__ == "__main__":
    main()
