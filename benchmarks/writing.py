"""A writer: stores a page of 200 messages now and then, until standard input ends."""

import select
import sys
from pathlib import Path

from benchmarks.filled import add
from mail_pipeline.lake.writer import Lake

_PAGE = 200
_EVERY_SECONDS = 0.8
_FIRST = 100_000_000


def write(data: Path, number: int) -> None:
    """Say that it has begun, and write."""
    with Lake(data) as lake:
        print("writing", flush=True)
        at = _FIRST * (number + 1)
        while not select.select([sys.stdin], [], [], _EVERY_SECONDS)[0]:
            add(lake, at, _PAGE, total=2_500_000)
            at += _PAGE


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
