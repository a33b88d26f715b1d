"""Messages written beside the workers that list mailboxes.

A worker that holds a grant's lease knows which of its messages the lake held when it began, and takes every
other one for new. Notifications do not wait for leases: who stores a new message without one says so here, in
the same commit, and every committer looks here before it believes a worker.
"""

from collections.abc import Collection, Iterable, Mapping, Set

from mail_pipeline.lake import queries
from mail_pipeline.lake.rows import arrow_table
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.fetches import fetch_rows
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.rows import Key
from mail_pipeline.sync.streams import BY_KIND
from mail_pipeline.sync.streams.mail import MAIL


class WrittenBeside:
    """The messages written beside since this was made."""

    def __init__(self, lake: Lake) -> None:
        """Begin now: what the lake holds already is known to all who ask it later."""
        self._messages: set[Key] = set()
        with lake.transaction() as self._looked_in:
            [(self._newest,)] = self._looked_in.rows(queries.NEWEST_BESIDE)

    def look(self, transaction: Transaction) -> None:
        """Take in what has been committed since; call it under the write lock."""
        last, self._looked_in = self._looked_in, transaction
        if transaction.follows(last):
            # Nobody else has written anything, and even an empty answer costs ten milliseconds.
            return
        for batch, grant_id, message_id in transaction.rows(queries.BESIDE_SINCE, [self._newest]):
            self._newest = max(self._newest, batch)
            self._messages.add((grant_id, message_id))

    def __contains__(self, message: Key) -> bool:
        """Tell whether the message was written beside."""
        return message in self._messages


def write_beside(transaction: Transaction, messages: Collection[Key], at: float) -> None:
    """Say that these messages are new and were stored without a lease; `at` is unix seconds."""
    if messages:
        [(newest,)] = transaction.rows(queries.NEWEST_BESIDE)
        rows = [(newest + 1, *message, at) for message in sorted(messages)]
        transaction.append("written_beside", arrow_table("written_beside", rows))


def store_beside(
    transaction: Transaction, kind: str, observations: Mapping[str, Iterable[Observation]], at: float
) -> Set[tuple[str, ...]]:
    """Merge observations of one kind, by grant, without a lease.

    Return the keys of the objects of which the lake held no field: none of it, or no more than a tombstone.
    """
    stream = BY_KIND.get(kind, MAIL)
    store = stream.store(transaction)
    new = store.merge(observations)
    store.flush()
    if stream is MAIL:
        write_beside(transaction, {(grant_id, identity) for grant_id, identity in new}, at)
    transaction.append("fetches", fetch_rows(store.fetches))
    return new | store.bare
