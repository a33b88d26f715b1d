"""The provider's own list of threads, fetched on request only: Gmail charges 40 units for each (5.1).

The view `threads` is put together from messages and costs nothing.
"""

from mail_pipeline.lake import queries
from mail_pipeline.sync.records import read_objects
from mail_pipeline.sync.streams.record_stream import RecordStream

PROVIDER_THREADS = RecordStream(
    name="provider_threads",
    kind="thread",
    endpoint="threads",
    largest_page=20,
    spends_mail_quota=True,
    scopes=lambda provider: () if provider in {"virtual-calendar", "zoom"} else (None,),
    readers={"participants": read_objects},
    # The newest message whole: it is in `messages`, and here would be stored twice.
    left_out=frozenset({"latest_draft_or_message"}),
    missed=queries.MISSED_THREADS,
)
