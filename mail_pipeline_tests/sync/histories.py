"""Histories of observations as the API may bring them, for tests that store them."""

import copy
import json
from typing import Any

from hypothesis import strategies as st

from mail_pipeline.sync.merge import Observation, RecordState
from mail_pipeline.sync.records import Body

texts = st.one_of(
    st.sampled_from(["", "\0", "a\0b", "é\u0301 שלום \u2028 👩‍👩‍👧 \ufeff", "'; DROP TABLE x --", "\r\n\t"]),
    st.text(max_size=8),
)
people = st.lists(st.tuples(st.none() | texts, st.none() | texts), max_size=3)
attachments = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.none() | texts,
            "filename": st.none() | texts,
            "content_type": st.none() | texts,
            "size": st.none() | st.integers(0, 2**63 - 1),
            "is_inline": st.none() | st.booleans(),
            "content_id": st.none() | texts,
            "content_disposition": st.none() | texts,
        }
    ),
    max_size=2,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
folder_ids = st.sampled_from(["", "INBOX", "A/B", "a\0b", "Büro 📬", '"quoted" \\'])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "thread_id": st.none() | texts,
    "subject": st.none() | texts,
    "snippet": st.none() | texts,
    "body": texts.map(Body.of),
    "date": st.none() | st.integers(0, 253_402_300_799),
    "unread": st.none() | st.booleans(),
    "starred": st.none() | st.booleans(),
    "from": people,
    "to": people,
    "cc": people,
    "bcc": people,
    "reply_to": people,
    "attachments": attachments,
    "importance": json_values,
    "#deleted": json_values,
    "": json_values,
}
WHOLE_LIST = st.lists(folder_ids, max_size=3).map(lambda found: sorted(set(found)))


def observations(identity: str, times: st.SearchStrategy[int]) -> st.SearchStrategy[Observation]:
    """Return pages and folder pages that show a message."""
    whole = st.fixed_dictionaries({}, optional={**FIELDS, "folders": WHOLE_LIST})
    partial = st.fixed_dictionaries({}, optional=FIELDS)
    return st.one_of(
        st.builds(Observation, st.just(identity), times, whole),
        st.builds(Observation, st.just(identity), times, partial, folder_ids),
    )


def known(state: RecordState) -> dict[str, Any]:
    """Return what a state says, for comparing, apart from how it keeps its folders.

    NaN equals NaN here, and 1 is not True.
    """
    fields = {name: value for name, value in state.fields.items() if name != "folders"}
    return {
        "fields": json.dumps(fields, default=repr, sort_keys=True),
        "times": state.times,
        "folders": state.folders,
        "folder_times": state.folder_times,
        "observed_at": state.observed_at,
        "deleted": state.deleted,
        "deleted_at": state.deleted_at,
    }


def observe(state: RecordState, observation: Observation) -> None:
    """Take in an observation that will be used again."""
    state.observe(copy.deepcopy(observation))
