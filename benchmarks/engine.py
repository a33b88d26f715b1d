"""The engine with its real lake: mailboxes to their first message.

    python -m benchmarks.engine ADDRESS DATA [PARTITION_KEY ...]

Without keys it lists the server's grants and folders first, and takes every mailbox there is.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mail_pipeline.settings import Settings
from mail_pipeline.sync.backfill import backfill


def run(address: str, data: Path, keys: Sequence[str]) -> int:
    """Backfill mailboxes of the server into the lake of a data folder; return how many messages they hold.

    Settings come from the environment, except for the server, its key and the data folder. Raises
    RuntimeError where a mailbox did not complete.
    """
    settings = replace(Settings.from_env(), api_key="benchmark", api_uri=address, data=data)
    messages = 0
    for mailbox in backfill(keys, settings=settings):
        if mailbox.state != "complete":
            raise RuntimeError(f"{mailbox.partition_key} is {mailbox.state}: {mailbox.reason}")
        messages += mailbox.messages
    return messages


def main(address: str, data: str, *keys: str) -> None:
    """Run and print how many messages that were."""
    if not keys:
        # Not above: the processes that are measured are given their keys, and need not import this.
        from benchmarks.accounts import register

        keys = tuple(register(address, Path(data)))
    json.dump({"messages": run(address, Path(data), keys)}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
