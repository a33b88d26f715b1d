"""Storing observations of messages inside a transaction: appended where new, merged where known."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from mail_pipeline.lake import queries
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.sync.checkpoints import Checkpoint
from mail_pipeline.sync.fetches import Fetch, disputes
from mail_pipeline.sync.merge import Observation, RecordState
from mail_pipeline.sync.rows import PARTS, ROLES, Key, MessageRows, keys, part_keys, read_states


class MessageStore:
    """Gathers the message rows of one transaction, so that each table is written once.

    Outdated rows are deleted at once, new ones come with `flush`; so a message must not be merged twice, nor
    added and merged, in one transaction.
    """

    def __init__(self, transaction: Transaction) -> None:
        """Take the transaction that all of this belongs to."""
        self._transaction = transaction
        self._rows = MessageRows()
        self.disputed: list[tuple[str, str, int]] = []
        """Grant, message and second of which two observations disagree: only the API knows."""
        self.bare: set[Key] = set()
        """Messages merged of which the lake held a tombstone and nothing else."""

    def add(self, grant_id: str, observations: Iterable[Observation]) -> int:
        """Store messages that the lake surely does not hold; return how many these are."""
        states: dict[str, RecordState] = {}
        for observation in observations:
            if observation.id in states:
                states[observation.id].observe(observation)
            else:
                states[observation.id] = RecordState.first(observation)
        for state in states.values():
            self._add(grant_id, state, PARTS)
        return len(states)

    def merge(self, observations: Mapping[str, Iterable[Observation]]) -> set[Key]:
        """Merge observations, by grant, into what the lake holds of their messages.

        Return the messages it did not hold.
        """
        wanted = {(grant_id, each.id) for grant_id, found in observations.items() for each in found}
        if not wanted:
            return set()
        states = self._states(wanted)
        before = {key: _likeness(state) for key, state in states.items()}
        self.bare |= {key for key, state in states.items() if not state.times}
        for grant_id, found in observations.items():
            for observation in found:
                key = (grant_id, observation.id)
                states.setdefault(key, RecordState(observation.id)).observe(observation)
        self._replace(states, before)
        return wanted - before.keys()

    def key(self, grant_id: str, observation: Observation) -> Key:
        """Return the grant's and the message's id."""
        return grant_id, observation.id

    @property
    def fetches(self) -> list[Fetch]:
        """Return the requests that settle what is disputed."""
        return disputes(self.disputed)

    def end_pass(self, checkpoint: Checkpoint) -> None:
        """Take a folder away from the messages that its pass, complete now, did not see there."""
        if checkpoint.pass_started is None or checkpoint.scope is None:
            return
        missed = self._transaction.rows(
            queries.MISSED_IN_FOLDER,
            {
                "grant": checkpoint.grant_id,
                "folder": checkpoint.scope,
                "began": checkpoint.pass_started,
                "since": checkpoint.since,
                "partition": checkpoint.partition_key,
            },
        )
        self.take_from_folder(
            checkpoint.scope,
            checkpoint.pass_started,
            [(checkpoint.grant_id, identity) for (identity,) in missed],
        )

    def take_from_folder(self, folder_id: str, at: int, messages: Collection[Key]) -> None:
        """Take a folder away from messages that its complete pass, begun at `at`, did not see there."""
        if not messages:
            return
        states = self._states(messages)
        before = {key: _likeness(state) for key, state in states.items()}
        for state in states.values():
            state.miss(folder_id, at)
        self._replace(states, before)

    def rewrite(self, messages: Collection[Key], change: Callable[[RecordState], bool]) -> int:
        """Change what is known of messages; `change` tells whether it did. Return how many were changed."""
        states = self._states(messages) if messages else {}
        before = {key: _likeness(state) for key, state in states.items()}
        changed = {key: state for key, state in states.items() if change(state)}
        self._replace(changed, {key: before[key] for key in changed})
        return len(changed)

    def forget(self, messages: Collection[Key], unwanted: Callable[[Mapping[str, Any]], bool]) -> set[Key]:
        """Delete all rows of those of these messages whose row is unwanted; return which they were."""
        rows = self._transaction.matching("all_messages", keys(messages, id_column="id"))
        rows = rows.select(["grant_id", "id", "folders", "date"])
        gone = {(row["grant_id"], row["id"]) for row in rows.to_pylist() if unwanted(row)}
        self._transaction.delete("all_messages", keys(gone, id_column="id"))
        for part in PARTS:
            self._transaction.delete(part, part_keys(part, gone))
        return gone

    def flush(self) -> None:
        """Write all rows gathered."""
        for table, rows in self._rows.tables().items():
            self._transaction.append(table, rows)
        self._rows = MessageRows()

    def _states(self, messages: Collection[Key]) -> dict[Key, RecordState]:
        by_id = keys(messages, id_column="id")
        found = self._transaction.matching("all_messages", by_id)
        if not found.num_rows:
            return {}
        by_message = by_id.rename_columns(["grant_id", "message_id"])
        return read_states(
            found,
            self._transaction.matching("message_participants", by_message),
            self._transaction.matching("attachments", by_message),
        )

    def _replace(self, states: Mapping[Key, RecordState], before: Mapping[Key, dict[str, Any]]) -> None:
        outdated: dict[str, list[Key]] = {part: [] for part in PARTS}
        for key, state in states.items():
            known = before.get(key)
            parts: list[str] = list(PARTS)
            if known is not None:
                now = _likeness(state)
                parts = [part for part in PARTS if now[part] != known[part]]
                for part in parts:
                    outdated[part].append(key)
            self._add(key[0], state, parts)
        self._transaction.delete("all_messages", keys(before, id_column="id"))
        for part, messages in outdated.items():
            self._transaction.delete(part, part_keys(part, messages))

    def _add(self, grant_id: str, state: RecordState, parts: Iterable[str]) -> None:
        self._rows.add(grant_id, state, parts)
        if state.disputed:
            self.disputed.append((grant_id, state.id, max(state.observed_at, state.deleted_at or 0)))


def _likeness(state: RecordState) -> dict[str, Any]:
    """Return, for each table of parts, what tells whether its rows of this message have changed."""
    fields = {} if state.deleted else state.fields
    return {
        "message_bodies": state.fields.get("body"),
        "message_participants": [fields.get(role) for role in ROLES],
        "message_folders": [] if state.deleted else state.folders,
        "attachments": fields.get("attachments"),
    }
