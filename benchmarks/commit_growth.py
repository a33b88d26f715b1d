"""Does a page's commit grow dearer with what is stored? An empty lake and a full one, in turn, in one run.

    python -m benchmarks.commit_growth [--stored 2000000] [--json]

The full lake is filled by the engine itself. Then both take the same pages of 200 messages through the
committer, one at a time: new ones, and ones whose messages they hold already and must merge.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from time import perf_counter

import orjson

from benchmarks.mail import Mailbox, letters
from benchmarks.processes import run, serving
from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.checkpoints import LISTING, Checkpoint
from mail_pipeline.sync.committer import Committer, Write
from mail_pipeline.sync.leases import Leases
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.records import read_messages

_PAGE = 200
_NOW = 1_760_000_000
_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds a commit took, and how many times the empty lake's they were."""

    lake: str
    page: str
    p50: float
    p95: float
    p50_ratio: float
    p95_ratio: float


class Target:
    """A lake that takes pages of the first mailbox."""

    def __init__(self, committer: Committer, mailbox: Mailbox, stored: int) -> None:
        """Take where to write, and how many messages of the mailbox the lake holds."""
        self._committer = committer
        self._mailbox = mailbox
        self._stored = stored
        self._random = random.Random(1)
        self._at = _NOW
        self.times: dict[str, list[float]] = {"new": [], "known": []}
        committer.begin(Checkpoint(partition_key=mailbox.grant_id, grant_id=mailbox.grant_id))

    def commit_new(self) -> None:
        """Store the next page of messages the lake does not hold."""
        fresh = self._observations(self._stored)
        self._stored += _PAGE
        self._commit("new", Write(self._mailbox.grant_id, {"state": LISTING}, fresh=fresh, at=self._at))

    def commit_known(self) -> None:
        """Store a page of messages the lake holds, seen again later."""
        first = self._random.randrange(self._stored // _PAGE) * _PAGE
        repeats = self._observations(first)
        self._commit("known", Write(self._mailbox.grant_id, {"state": LISTING}, repeats=repeats, at=self._at))

    def _observations(self, first: int) -> list[Observation]:
        self._at += 1
        observations, _ = read_messages(orjson.loads(self._mailbox.page(first, _PAGE)), at=self._at)
        return observations

    def _commit(self, page: str, write: Write) -> None:
        started = perf_counter()
        self._committer.submit(write).result()
        self.times[page].append((perf_counter() - started) * 1000)


@contextmanager
def _open(data: Path, mailbox: Mailbox, stored: int) -> Iterator[Target]:
    with Lake(data) as lake:
        leases = Leases(data)
        committer = Committer(lake, leases)
        try:
            with lake.locked():
                leases.take(mailbox.grant_id)
            yield Target(committer, mailbox, stored)
        finally:
            committer.close()
            leases.close()


def measure(stored: int, pages: int, folder: Path | None = None) -> list[Figures]:
    """Commit `pages` new pages and as many known ones to an empty lake and to one with `stored` messages."""
    stored -= stored % _PAGE
    mailbox = Mailbox(0, stored + (pages + _WARM_UP) * _PAGE, letters())
    with tempfile.TemporaryDirectory(dir=folder) as empty, tempfile.TemporaryDirectory(dir=folder) as full:
        with serving(mailboxes=1, messages=stored) as address:
            run("benchmarks.engine", address, full, environment={"MAIL_PIPELINE_MIN_PAGE_INTERVAL": "0"})
        with _open(Path(empty), mailbox, 0) as small, _open(Path(full), mailbox, stored) as large:
            for _ in range(_WARM_UP + pages):
                for target in (small, large):
                    target.commit_new()
                for target in (small, large):
                    target.commit_known()
            return [*_figures("empty", small, small), *_figures(f"{stored:,} messages", large, small)]


def _figures(name: str, target: Target, base: Target) -> Iterator[Figures]:
    for page, times in target.times.items():
        p50, p95 = _percentiles(times)
        base_p50, base_p95 = _percentiles(base.times[page])
        yield Figures(name, page, p50, p95, p50 / base_p50, p95 / base_p95)


def _percentiles(times: Sequence[float]) -> tuple[float, float]:
    cuts = quantiles(times[_WARM_UP:], n=20, method="inclusive")
    return cuts[9], cuts[18]


def table(figures: Sequence[Figures]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| lake | page | commit p50 ms | p95 ms | p50 / empty | p95 / empty |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.lake} | {each.page} | {each.p50:.0f} | {each.p95:.0f} | {each.p50_ratio:.2f} "
        f"| {each.p95_ratio:.2f} |"
        for each in figures
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stored", type=int, default=500_000, help="messages in the full lake")
    parser.add_argument("--pages", type=int, default=60, help="pages of each kind committed to each lake")
    parser.add_argument(
        "--folder", type=Path, help="a disk to write to; the system's temporary one if not given"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    wanted = parser.parse_args()
    figures = measure(wanted.stored, wanted.pages, wanted.folder)
    print(json.dumps([asdict(each) for each in figures], indent=2) if wanted.json else table(figures))


if __name__ == "__main__":
    main()
