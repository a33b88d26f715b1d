"""Numbers about a receiver, as Prometheus reads them."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from mail_pipeline.inbox.group_commit import Commit, GroupCommit

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "mail_pipeline_receiver_"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds of a commit."""
REFUSALS = (
    "no_secret",
    "no_signature",
    "wrong_signature",
    "too_large",
    "queue_full",
    "stopping",
    "not_stored",
    "cut_off",
)


class Metrics:
    """Counted since the receiver started; everything on the event loop."""

    def __init__(self) -> None:
        """Start at zero."""
        self.landed = 0
        self.landed_bytes = 0
        self.challenges = 0
        self.refused: Counter[str] = Counter(dict.fromkeys(REFUSALS, 0))
        self._commits = [0] * (len(_BUCKETS) + 1)
        self._commit_seconds = 0.0
        self._commits_failed = 0

    def committed(self, commit: Commit) -> None:
        """Count one transaction."""
        self._commits[bisect_left(_BUCKETS, commit.seconds)] += 1
        self._commit_seconds += commit.seconds
        self._commits_failed += commit.error is not None

    def text(self, queue: GroupCommit) -> str:
        """Return everything in Prometheus' text format."""
        return "\n".join(self._lines(queue)) + "\n"

    def _lines(self, queue: GroupCommit) -> Iterator[str]:
        yield from _one("landed_total", "counter", "Notifications stored and answered 200.", self.landed)
        yield from _one("landed_bytes_total", "counter", "Bytes of their bodies, as sent.", self.landed_bytes)
        yield from _one("challenges_total", "counter", "Challenges answered.", self.challenges)
        yield from _head("refused_total", "counter", "Notifications not answered 200, by reason.")
        for reason, count in sorted(self.refused.items()):
            yield f'{_PREFIX}refused_total{{reason="{reason}"}} {count}'
        yield from _one("queue", "gauge", "Notifications that wait to be stored.", queue.deliveries)
        yield from _one("queue_bytes", "gauge", "Bytes of their bodies.", queue.body_bytes)
        yield from _one("commits_failed_total", "counter", "Groups not stored.", self._commits_failed)
        yield from _head("commit_seconds", "histogram", "How long storing a group took.")
        commits = 0
        for bound, count in zip((*_BUCKETS, "+Inf"), self._commits, strict=True):
            commits += count
            yield f'{_PREFIX}commit_seconds_bucket{{le="{bound}"}} {commits}'
        yield f"{_PREFIX}commit_seconds_sum {self._commit_seconds}"
        yield f"{_PREFIX}commit_seconds_count {commits}"


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP {_PREFIX}{name} {meaning}"
    yield f"# TYPE {_PREFIX}{name} {kind}"


def _one(name: str, kind: str, meaning: str, value: int) -> Iterator[str]:
    yield from _head(name, kind, meaning)
    yield f"{_PREFIX}{name} {value}"
