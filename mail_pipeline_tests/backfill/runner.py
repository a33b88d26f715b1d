"""A backfill in a process of its own: `python -m mail_pipeline_tests.backfill.runner`.

The environment says where from and where to, as always; standard input has the options, and `keys`, as one
JSON object. With `streams` these are mirrored, one after the other, and `keys` are grants. Each last word is
a line of JSON on standard output; one on a stream has its name before the key. The exit code is 0 if nothing
was paused or failed, 1 if something was, 3 for what stops everything.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from mail_pipeline.errors import StopRun
from mail_pipeline.settings import Settings
from mail_pipeline.sync.backfill import BackfillOptions, MailboxProgress, backfill
from mail_pipeline.sync.mirror import mirror
from mail_pipeline.sync.streams import RECORD_STREAMS


def main() -> int:
    asked = json.load(sys.stdin)
    succeeded = True
    try:
        for before, each in words(**asked):
            word = {name: getattr(each, name) for name in ("partition_key", "state", "messages", "reason")}
            print(json.dumps(word | {"partition_key": before + each.partition_key}), flush=True)
            succeeded = succeeded and each.succeeded
    except StopRun as error:
        print(error, file=sys.stderr)
        return 3
    return 0 if succeeded else 1


def words(
    keys: Sequence[str], streams: Sequence[str] = (), **options: Any
) -> Iterator[tuple[str, MailboxProgress]]:
    settings, chosen = Settings.from_env(), BackfillOptions(**options)
    if not streams:
        yield from (("", word) for word in backfill(keys, settings=settings, options=chosen))
    for name in streams:
        for word in mirror(RECORD_STREAMS[name], keys, settings=settings, options=chosen):
            yield f"{name}:", word


if __name__ == "__main__":
    sys.exit(main())
