"""What the engine knows before it fetches mail: lists the server's grants and folders into a new lake."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import mail_pipeline
from mail_pipeline.settings import Settings
from mail_pipeline.sync.accounts import refresh_folders, refresh_grants

_KEYS = "SELECT partition_key FROM mailboxes WHERE active"


def register(address: str, data: Path) -> list[str]:
    """List grants and folders into the lake of a data folder; return the partition keys of all mailboxes."""
    settings = replace(Settings.from_env(), api_key="benchmark", api_uri=address, data=data)
    refresh_grants(settings)
    refresh_folders(settings)
    with mail_pipeline.connect(data) as connection:
        return [key for (key,) in connection.execute(_KEYS).fetchall()]


if __name__ == "__main__":
    json.dump(register(sys.argv[1], Path(sys.argv[2])), sys.stdout)
