"""The engine with its real lake: the server's grants, their folders and every message."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import mail_pipeline
from mail_pipeline.settings import Settings
from mail_pipeline.sync.accounts import refresh_folders, refresh_grants
from mail_pipeline.sync.backfill import backfill

_KEYS = "SELECT partition_key FROM mailboxes WHERE active"


def run(address: str, data: Path) -> int:
    """Backfill all mailboxes of the server into the lake of a data folder; return how many messages came.

    Settings come from the environment, except for the server, its key and the data folder. Raises
    RuntimeError where a mailbox did not complete.
    """
    settings = replace(Settings.from_env(), api_key="benchmark", api_uri=address, data=data)
    refresh_grants(settings)
    refresh_folders(settings)
    with mail_pipeline.connect(data) as connection:
        keys = [key for (key,) in connection.execute(_KEYS).fetchall()]
    messages = 0
    for mailbox in backfill(keys, settings=settings):
        if mailbox.state != "complete":
            raise RuntimeError(f"{mailbox.partition_key} is {mailbox.state}: {mailbox.reason}")
        messages += mailbox.messages
    return messages


if __name__ == "__main__":
    json.dump({"messages": run(sys.argv[1], Path(sys.argv[2]))}, sys.stdout)
