"""How near does a backfill come to the quota's own time, and is it ever told to slow down?

    python -m benchmarks.quota [--minutes 3] [--json]

The simulator enforces each provider's limits as documented. A quota's own time is what its full rate takes:
units divided by Google's limit; for Microsoft, whose own limits one list never reaches, pages times the least
time from one to the next. The cases wait most of the time, so they run side by side.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from benchmarks.processes import run
from mail_pipeline.simulator import Fleet, Latency, Limits, MailboxSpec, Simulator

_BUDGET = 0.95
"""Share of Google's limit that the engine is told to use."""
_PAGE_INTERVAL = 0.2
_PAGE = 200
_LATENCY = Latency(base=0.1)
_KEY = "benchmark"


@dataclass(frozen=True, slots=True)
class Case:
    """A mailbox and what limits it."""

    name: str
    provider: str
    limits: Limits

    @property
    def units_per_second(self) -> float:
        """Google's limit."""
        return self.limits.google_units_per_second or 0.0

    def messages(self, minutes: float) -> int:
        """Return how many messages keep the mailbox busy for so long."""
        if self.provider == "google":
            return int(60 * minutes * self.units_per_second / self.limits.google_get_units)
        # A sixth: this one is a thousand messages a second.
        return int(10 * minutes / _PAGE_INTERVAL) * _PAGE

    def own_time(self, units: int, pages: int) -> float:
        """Return the seconds the quota itself takes."""
        return units / self.units_per_second if self.provider == "google" else pages * _PAGE_INTERVAL


CASES = (
    Case("Google, 250 units/s", "google", Limits()),
    Case("Google since 2026-05, 100 units/s", "google", Limits.new_google_project()),
    Case("Microsoft", "microsoft", Limits()),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """One mailbox from its first request to the end of the engine's process; times in seconds."""

    case: str
    messages: int
    requests: int
    units: int
    own_time: float
    measured: float
    ratio: float
    throttled: int
    """Answers that said to slow down: 429, or 403 for quota."""


def measure(minutes: float) -> list[Figures]:
    """Run all cases side by side. Raises RuntimeError where a mailbox does not complete."""
    with ThreadPoolExecutor(len(CASES)) as pool:
        return list(pool.map(lambda case: _measure(case, minutes), CASES))


def _measure(case: Case, minutes: float) -> Figures:
    messages = case.messages(minutes)
    spec = MailboxSpec(case.provider, messages=messages, body_mean=500)
    fleet = Fleet.generate(1, [spec])
    simulator = Simulator(fleet, limits=case.limits, latency=_LATENCY, irregular=0.0, api_key=_KEY)
    environment = {
        "MAIL_PIPELINE_MIN_PAGE_INTERVAL": str(_PAGE_INTERVAL),
        "MAIL_PIPELINE_GOOGLE_UNITS_PER_SECOND": str(_BUDGET * case.units_per_second or 150),
    }
    with simulator.serve() as address, tempfile.TemporaryDirectory() as data:
        run("benchmarks.engine", address, data, environment=environment)
        ended = time.time()
    mail = [each for each in simulator.requests if each.operation in {"messages", "message"}]
    served = [each for each in mail if each.status == 200]
    units = sum(case.limits.google_units(each.operation, each.count) or 0 for each in served)
    own_time = case.own_time(units, len(mail))
    measured = ended - mail[0].time
    return Figures(
        case=case.name,
        messages=messages,
        requests=len(mail),
        units=units if case.provider == "google" else 0,
        own_time=own_time,
        measured=measured,
        ratio=measured / own_time,
        throttled=sum(each.limited is not None for each in simulator.requests),
    )


def table(figures: Sequence[Figures]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| mailbox | messages | requests | units | quota's own s | measured s | ratio | throttled |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.case} | {each.messages:,} | {each.requests:,} | {each.units:,} | {each.own_time:.1f}"
        f" | {each.measured:.1f} | {each.ratio:.3f} | {each.throttled} |"
        for each in figures
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="how long Google's quota is to be busy")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    wanted = parser.parse_args()
    figures = measure(wanted.minutes)
    print(json.dumps([asdict(each) for each in figures], indent=2) if wanted.json else table(figures))


if __name__ == "__main__":
    main()
