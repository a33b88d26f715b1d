"""How many signed notifications a second does a receiver take, beside a bare one that appends to a file?

    python -m benchmarks.intake [--seconds 5] [--rounds 5] [--postgres postgresql://...] [--json]
    python -m benchmarks.intake --burst 20000

Bodies of 11 KB, 64 connections, the sender in a process of its own. All answer 200 when a body is durable.
They run in turn, so that a busy machine is busy for all. The receiver stores in SQLite, and beside it in
Postgres where a database is named. A burst is sent as fast as it goes; what was answered 200 is compared with
what is in the landing table.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.processes import ROOT, run
from mail_pipeline.inbox.landing import Landing
from mail_pipeline.settings import Settings

_SECRET = {"NYLAS_WEBHOOK_SECRET": "secret-of-the-benchmark"}
CASES = ("bare", "receiver")
ON_POSTGRES = "receiver, Postgres"


@dataclass(frozen=True, slots=True)
class Figures:
    """One case over all rounds; medians."""

    case: str
    rate: float
    """Requests answered per second."""
    p50: float
    """Milliseconds."""
    p99: float
    rate_over_bare: float
    """Median of the rounds' ratios."""
    p99_over_bare: float
    other_answers: int
    """In all rounds, anything but 200."""


@dataclass(frozen=True, slots=True)
class Burst:
    """What became of a burst."""

    sent: int
    answered_200: int
    landed: int
    seconds: float


def measure(
    seconds: float, rounds: int, connections: int = 64, database_url: str | None = None
) -> list[Figures]:
    """Run all in turn, on Postgres where there is a `database_url`. Raises where a process fails."""
    cases = CASES if database_url is None else (*CASES, ON_POSTGRES)
    seen: dict[str, list[dict[str, Any]]] = {case: [] for case in cases}
    for number in range(rounds):
        # Whoever comes later finds the machine warmer.
        for case in cases if number % 2 else reversed(cases):
            own = database_url if case == ON_POSTGRES else None
            with tempfile.TemporaryDirectory() as folder, _serving(case, Path(folder), own) as url:
                seen[case].append(_load(url, "--seconds", str(seconds), "--connections", str(connections)))
    return [_figures(case, seen[case], seen["bare"]) for case in cases]


def burst(notifications: int) -> Burst:
    """Send so many as fast as it goes and count what landed."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        with _serving("receiver", data) as url:
            seen = _load(url, "--requests", str(notifications))
        with Landing.open(Settings(data=data)) as landing:
            landed = landing.count()
    return Burst(notifications, seen["statuses"].get("200", 0), landed, notifications / seen["rate"])


def table(figures: Sequence[Figures]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| case | requests/s | p50 ms | p99 ms | rate / bare | p99 / bare | not 200 |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.case} | {each.rate:,.0f} | {each.p50:.1f} | {each.p99:.1f} | {each.rate_over_bare:.2f} | "
        f"{each.p99_over_bare:.2f} | {each.other_answers} |"
        for each in figures
    ]
    return "\n".join(lines)


def _figures(case: str, seen: list[dict[str, Any]], bare: list[dict[str, Any]]) -> Figures:
    return Figures(
        case=case,
        rate=median(each["rate"] for each in seen),
        p50=median(each["p50"] for each in seen),
        p99=median(each["p99"] for each in seen),
        rate_over_bare=_over("rate", seen, bare),
        p99_over_bare=_over("p99", seen, bare),
        other_answers=sum(
            count for each in seen for status, count in each["statuses"].items() if status != "200"
        ),
    )


def _over(what: str, seen: list[dict[str, Any]], bare: list[dict[str, Any]]) -> float:
    return median(float(one[what] / other[what]) for one, other in zip(seen, bare, strict=True))


def _load(url: str, *arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = run("benchmarks.intake_load", url, *arguments, environment=_SECRET).answer
    return answer


@contextmanager
def _serving(case: str, data: Path, database_url: str | None = None) -> Iterator[str]:
    if case == "bare":
        arguments = ["-m", "benchmarks.bare_receiver", str(data / "notifications")]
    else:
        arguments = ["-m", "mail_pipeline.cli", "receive", "--port", "0"]
    own = ("NYLAS_", "MAIL_PIPELINE_")
    outside = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={
            **outside,
            **_SECRET,
            "MAIL_PIPELINE_DATA": str(data),
            "MAIL_PIPELINE_DATABASE_URL": database_url or "",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"the {case} receiver did not start")
            yield url
        finally:
            process.terminate()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each")
    parser.add_argument("--postgres", metavar="URL", help="measure on this database too; it is not emptied")
    parser.add_argument("--burst", type=int, help="send so many, count what landed, and do nothing else")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    wanted = parser.parse_args()
    if wanted.burst:
        print(json.dumps(asdict(burst(wanted.burst))))
        return
    figures = measure(wanted.seconds, wanted.rounds, database_url=wanted.postgres)
    print(json.dumps([asdict(each) for each in figures], indent=2) if wanted.json else table(figures))


if __name__ == "__main__":
    main()
