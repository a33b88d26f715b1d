"""What /metrics says is what Prometheus can read, and adds up."""

from typing import cast

from mail_pipeline.inbox.group_commit import Commit, GroupCommit
from mail_pipeline.inbox.metrics import REFUSALS, Metrics


class Queue:
    deliveries = 3
    body_bytes = 33_000


def numbers(metrics: Metrics) -> dict[str, float]:
    """Return what is said, by name without its prefix; every line must be one Prometheus can read."""
    found = {}
    described: dict[str, set[str]] = {"HELP": set(), "TYPE": set()}
    for line in metrics.text(cast(GroupCommit, Queue())).splitlines():
        if line.startswith("#"):
            _, what, name, _ = line.split(" ", 3)
            described[what].add(name)
        else:
            name, _, value = line.rpartition(" ")
            found[name.removeprefix("mail_pipeline_receiver_")] = float(value)
    assert described["HELP"] == described["TYPE"]
    assert len(described["HELP"]) == 8
    return found


def test_every_reason_is_there_from_the_start():
    found = numbers(Metrics())

    assert {name for name in found if name.startswith("refused")} == {
        f'refused_total{{reason="{reason}"}}' for reason in REFUSALS
    }
    assert found["queue"] == 3
    assert found["queue_bytes"] == 33_000
    assert found["landed_total"] == 0


def test_commits_are_in_the_bucket_of_their_length_and_all_longer_ones():
    metrics = Metrics()
    for seconds, error in ((0.001, None), (0.004, None), (0.3, OSError()), (60.0, None)):
        metrics.committed(Commit(1, seconds, error))

    found = numbers(metrics)
    buckets = [value for name, value in found.items() if "bucket" in name]
    assert buckets == [1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 4]
    assert found["commit_seconds_count"] == 4
    assert found["commit_seconds_sum"] == 60.305
    assert found["commits_failed_total"] == 1
