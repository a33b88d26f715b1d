"""A writer whose every transaction adds a dead letter and a checkpoint: readers must see as many of each.

`python -m mail_pipeline_tests.lake.pairs DATA TIMES [INSTEAD]` adds so many pairs. Where INSTEAD is given,
each transaction also takes away the pair before.
"""

import sys
from pathlib import Path

import pyarrow as pa

from mail_pipeline.lake.schema import TABLES
from mail_pipeline.lake.writer import Lake
from mail_pipeline_tests.lake.letters import keys, letters

COUNTS = "SELECT (SELECT count(*) FROM dead_letters), (SELECT count(*) FROM checkpoints)"


def checkpoints(number: int) -> pa.Table:
    """Return one checkpoint with the number as its version."""
    schema = TABLES["checkpoints"].arrow
    row = {**dict.fromkeys(schema.names), "partition_key": f"{number}", "version": number}
    return pa.Table.from_pylist([row], schema=schema)


def write_pairs(lake: Lake, times: int, *, instead: bool = False) -> None:
    for number in range(times):
        with lake.transaction() as transaction:
            if instead and number:
                transaction.delete("dead_letters", keys("g", number - 1))
                transaction.delete("checkpoints", checkpoints(number - 1).select(["partition_key"]))
            transaction.append("dead_letters", letters("g", number))
            transaction.append("checkpoints", checkpoints(number))


if __name__ == "__main__":
    with Lake(Path(sys.argv[1])) as lake:
        write_pairs(lake, int(sys.argv[2]), instead=len(sys.argv) > 3)
