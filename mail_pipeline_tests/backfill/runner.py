"""A backfill in a process of its own: `python -m mail_pipeline_tests.backfill.runner`.

The environment says where from and where to, as always; standard input has the options, and `keys`, as one
JSON object. Each mailbox's last word is a line of JSON on standard output. The exit code is 0 if none was
paused or failed, 1 if one was, 3 for what stops everything.
"""

import json
import sys

from mail_pipeline.errors import StopRun
from mail_pipeline.settings import Settings
from mail_pipeline.sync.backfill import BackfillOptions, backfill


def main() -> int:
    asked = json.load(sys.stdin)
    keys = asked.pop("keys")
    succeeded = True
    try:
        for each in backfill(keys, settings=Settings.from_env(), options=BackfillOptions(**asked)):
            word = {name: getattr(each, name) for name in ("partition_key", "state", "messages", "reason")}
            print(json.dumps(word), flush=True)
            succeeded = succeeded and each.succeeded
    except StopRun as error:
        print(error, file=sys.stderr)
        return 3
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
