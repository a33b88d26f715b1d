"""Storing observations of messages inside a transaction: appended where new, merged where known."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from mail_pipeline.lake import queries
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.sync.checkpoints import Checkpoint
from mail_pipeline.sync.merge import MessageState, Observation
from mail_pipeline.sync.rows import PARTS, ROLES, MessageRows, keys, part_keys, read_states


class MessageStore:
    """Gathers the message rows of one transaction, so that each table is written once.

    Outdated rows are deleted at once, new ones come with `flush`; so a message must not be merged twice, nor
    added and merged, in one transaction.
    """

    def __init__(self, transaction: Transaction) -> None:
        """Take the transaction that all of this belongs to."""
        self._transaction = transaction
        self._rows: dict[str, list[pa.Table]] = {}

    def add(self, rows: Mapping[str, pa.Table]) -> None:
        """Take in rows, by table, of messages that the lake surely does not hold."""
        for table, batch in rows.items():
            self._rows.setdefault(table, []).append(batch)

    def merge(self, grant_id: str, observations: Sequence[Observation]) -> int:
        """Merge observations into what the lake holds of their messages; return how many it did not hold."""
        if not observations:
            return 0
        found = self._states(grant_id, {observation.id for observation in observations})
        before = {identity: _likeness(state) for identity, state in found.items()}
        states = dict(found)
        for observation in observations:
            states.setdefault(observation.id, MessageState(observation.id)).observe(observation)
        self._replace(grant_id, states.values(), before)
        return len(states) - len(found)

    def miss(self, checkpoint: Checkpoint) -> None:
        """Take a folder away from the messages that its pass, complete now, did not see there."""
        if checkpoint.pass_started is None or checkpoint.folder_id is None:
            return
        missed = self._transaction.rows(
            queries.MISSED_IN_FOLDER,
            {
                "grant": checkpoint.grant_id,
                "folder": checkpoint.folder_id,
                "began": checkpoint.pass_started,
                "since": checkpoint.since,
                "partition": checkpoint.partition_key,
            },
        )
        if not missed:
            return
        states = self._states(checkpoint.grant_id, {identity for (identity,) in missed})
        before = {identity: _likeness(state) for identity, state in states.items()}
        for state in states.values():
            state.miss(checkpoint.folder_id, checkpoint.pass_started)
        self._replace(checkpoint.grant_id, states.values(), before)

    def flush(self) -> None:
        """Write all rows gathered."""
        for table, batches in self._rows.items():
            self._transaction.append(table, pa.concat_tables(batches))
        self._rows.clear()

    def _states(self, grant_id: str, ids: Iterable[str]) -> dict[str, MessageState]:
        by_id = keys(grant_id, ids, id_column="id")
        messages = self._transaction.matching("all_messages", by_id)
        if not messages.num_rows:
            return {}
        by_message = by_id.rename_columns(["grant_id", "message_id"])
        return read_states(
            messages,
            self._transaction.matching("message_participants", by_message),
            self._transaction.matching("attachments", by_message),
        )

    def _replace(
        self, grant_id: str, states: Iterable[MessageState], before: Mapping[str, dict[str, Any]]
    ) -> None:
        rows = MessageRows(grant_id)
        outdated: dict[str, list[str]] = {part: [] for part in PARTS}
        for state in states:
            known = before.get(state.id)
            parts: list[str] = list(PARTS)
            if known is not None:
                now = _likeness(state)
                parts = [part for part in PARTS if now[part] != known[part]]
                for part in parts:
                    outdated[part].append(state.id)
            rows.add(state, parts)
        self._transaction.delete("all_messages", keys(grant_id, before, id_column="id"))
        for part, ids in outdated.items():
            self._transaction.delete(part, part_keys(part, grant_id, ids))
        self.add(rows.tables())


def _likeness(state: MessageState) -> dict[str, Any]:
    """Return, for each table of parts, what tells whether its rows of this message have changed."""
    fields = state.fields
    return {
        "message_bodies": fields.get("body"),
        "message_participants": [fields.get(role) for role in ROLES],
        "message_folders": state.folders,
        "attachments": fields.get("attachments"),
    }
