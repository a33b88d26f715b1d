"""What it costs to land a mailbox: the engine, the vendor's recipe, a bare lake and the floor, side by side.

    python -m benchmarks.landing [--messages 200000] [--json]

Each case is a process of its own; rounds run the cases in turn, so that a busy machine is busy for all.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.processes import Usage, measured, run, serving

CASES = (
    "imports",
    "open lake",
    "floor",
    "bare lake",
    "recipe",
    "engine, one mailbox",
    "engine, four mailboxes",
)
"""The first two fetch nothing: what the engine's process takes by itself, and with a lake open."""

_OPEN_LAKE = """
import pathlib, sys
import benchmarks.engine
from mail_pipeline.lake.writer import Lake
with Lake(pathlib.Path(sys.argv[1])) as lake:
    lake.table("FROM mailboxes")
"""
_IDLE = ("imports", "open lake")
_ALONE = {"recipe": "benchmarks.recipe", "bare lake": "benchmarks.bare_lake"}
_PAGE = 200
_ENVIRONMENT = {"MAIL_PIPELINE_MIN_PAGE_INTERVAL": "0", "OPENBLAS_NUM_THREADS": "1"}
"""No pause between pages, like the recipe; and as `mail-pipeline` sets it for itself."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One case over all rounds. CPU is of the whole process, imports included; memory in MB."""

    case: str
    messages: int
    wall_least: float
    cpu_median: float
    cpu_least: float
    cpu_most: float
    messages_per_cpu_second: float
    peak_memory: float
    memory_over_imports: float
    memory_over_open_lake: float
    cpu_over_floor: float
    rate_over_bare_lake: float
    rate_over_recipe: float


def measure(messages: int, rounds: int, folder: Path | None = None) -> list[Figures]:
    """Run all cases in turn for some rounds. Raises RuntimeError where a case did not land every message."""
    usages: dict[str, list[Usage]] = {case: [] for case in CASES}
    with (
        serving(mailboxes=1, messages=messages) as one,
        serving(mailboxes=4, messages=messages) as four,
    ):
        for _ in range(rounds):
            for case, found in usages.items():
                with tempfile.TemporaryDirectory(dir=folder) as data:
                    found.append(_run(case, one, four, data))
                _check(case, messages, found[-1])
    return _figures(messages, usages)


def _run(case: str, one: str, four: str, data: str) -> Usage:
    if case == "imports":
        return measured([sys.executable, "-c", "import benchmarks.engine"], environment=_ENVIRONMENT)
    if case == "floor":
        return run("benchmarks.floor", one)
    if case in _ALONE:
        return run(_ALONE[case], one, data)
    address = four if "four" in case else one
    keys = run("benchmarks.accounts", address, data).answer
    if case == "open lake":
        return measured([sys.executable, "-c", _OPEN_LAKE, data], environment=_ENVIRONMENT)
    return run("benchmarks.engine", address, data, *keys, environment=_ENVIRONMENT)


def _check(case: str, messages: int, usage: Usage) -> None:
    expected: dict[str, int] | None = {"messages": messages}
    if case == "floor":
        expected = {"pages": -(-messages // _PAGE)}
    elif case in _IDLE:
        expected = None
    if usage.answer != expected:
        raise RuntimeError(f"{case}: expected {expected}, got {usage.answer}")


def _figures(messages: int, usages: Mapping[str, Sequence[Usage]]) -> list[Figures]:
    cpu = {case: median(usage.cpu for usage in found) for case, found in usages.items()}
    memory = {case: max(usage.peak_memory for usage in found) for case, found in usages.items()}
    return [
        Figures(
            case=case,
            messages=messages,
            wall_least=min(usage.wall for usage in found),
            cpu_median=cpu[case],
            cpu_least=min(usage.cpu for usage in found),
            cpu_most=max(usage.cpu for usage in found),
            messages_per_cpu_second=messages / cpu[case],
            peak_memory=memory[case],
            memory_over_imports=memory[case] - memory["imports"],
            memory_over_open_lake=memory[case] - memory["open lake"],
            cpu_over_floor=cpu[case] / cpu["floor"],
            rate_over_bare_lake=cpu["bare lake"] / cpu[case],
            rate_over_recipe=cpu["recipe"] / cpu[case],
        )
        for case, found in usages.items()
    ]


def table(figures: Sequence[Figures]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| case | messages | wall min s | CPU median s (range) | messages per CPU-s | peak MB"
        " | over imports | over open lake | CPU / floor | rate / bare lake | rate / recipe |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in figures:
        cells = [
            each.case,
            f"{each.messages:,}",
            f"{each.wall_least:.2f}",
            f"{each.cpu_median:.2f} ({each.cpu_least:.2f}-{each.cpu_most:.2f})",
            f"{each.messages_per_cpu_second:,.0f}",
            f"{each.peak_memory:.0f}",
            f"{each.memory_over_imports:.0f}",
            f"{each.memory_over_open_lake:.0f}",
            f"{each.cpu_over_floor:.1f}",
            f"{each.rate_over_bare_lake:.2f}",
            f"{each.rate_over_recipe:.1f}",
        ]
        if each.case in _IDLE:
            cells = [cell if place in (0, 2, 3, 5) else "" for place, cell in enumerate(cells)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=20_000, help="in all mailboxes of a case together")
    parser.add_argument("--rounds", type=int, default=5, help="how often each case runs")
    parser.add_argument(
        "--folder", type=Path, help="a disk to write to; the system's temporary one if not given"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    wanted = parser.parse_args()
    figures = measure(wanted.messages, wanted.rounds, wanted.folder)
    print(json.dumps([asdict(each) for each in figures], indent=2) if wanted.json else table(figures))


if __name__ == "__main__":
    main()
