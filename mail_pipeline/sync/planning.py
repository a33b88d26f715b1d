"""What a batch of notifications comes to: observations, requests to come, and what became of each."""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mail_pipeline.errors import traced
from mail_pipeline.inbox.landing import Landed
from mail_pipeline.inbox.narrowing import is_forgotten
from mail_pipeline.subset import Subset
from mail_pipeline.sync.dead_letters import dead_letter_row
from mail_pipeline.sync.fetches import (
    CHANGED,
    FOLDERS,
    GRANTS,
    MESSAGE,
    NO_BODY,
    NO_CALENDAR,
    TRUNCATED,
    UNKNOWN,
    Fetch,
)
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.notifications import (
    METADATA,
    TRANSFORMED,
    Notification,
    read_changes,
    read_notification,
)
from mail_pipeline.sync.notifications import TRUNCATED as CUT
from mail_pipeline.sync.records import DeadLetter, Unreadable, identity_of
from mail_pipeline.sync.scopes import Scopes
from mail_pipeline.sync.streams import BY_KIND
from mail_pipeline.sync.streams.stream import Key

APPLIED = "applied"
KEPT = "kept"
DEAD = "dead"
IGNORED = "ignored"

UNKNOWN_GRANT = "data.object.grant_id: expected a known grant, got one that is not in the table grants"

NO_TABLE = "There is no table for it yet"
"""Why versions before 0.2 kept what is said of contacts, calendars and events."""

_CHANGEABLE = frozenset({"subject", "body", "folders", "unread", "starred"})
_RAW_AT_MOST = 1_000_000
_MISREAD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What code raises that met a shape it did not expect; what the disk raises, concerns all of them."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class BatchPlan:
    """What one batch comes to."""

    observations: dict[str, dict[str, list[Observation]]] = field(default_factory=dict)
    """What is said of objects, by what one of them is called and by grant."""
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    """Of the table `notifications`."""
    dead: list[tuple[Any, ...]] = field(default_factory=list)
    """Of the table `dead_letters`."""
    fetches: list[Fetch] = field(default_factory=list)
    partial: dict[str, set[Key]] = field(default_factory=dict)
    """Objects of which a notification told only some fields, by what one of them is called."""
    left: dict[str, dict[str, int]] = field(default_factory=dict)
    """Messages seen outside of what is wanted, with the time, by grant."""
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many notifications by (outcome, trigger)."""


def plan_batch(batch: Sequence[Landed], grants: Mapping[str, dict[str, Any]], scopes: Scopes) -> BatchPlan:
    """Read a batch; `grants` are those known, by id. What cannot be read is in the plan as dead."""
    plan = BatchPlan()
    providers = {grant_id: row["provider"] for grant_id, row in grants.items()}
    for whole in batch:
        landed = scopes.narrowed(whole, providers)
        notification: Notification | None = None
        if is_forgotten(landed):
            plan.rows.append(_row(landed, None, IGNORED, None))
            plan.outcomes[IGNORED, "forgotten"] += 1
            continue
        try:
            notification = read_notification(landed)
            outcome, reason = _take(plan, notification, grants, scopes)
        except Unreadable as error:
            outcome, reason = DEAD, str(error)
        except _MISREAD as error:
            # A fault of this program, and no reason to keep back all that has landed behind it.
            _log.error("Notification %d was not read for an unexpected %s", landed.number, traced(error))
            outcome, reason = DEAD, f"An unexpected {type(error).__name__} kept it from being read"
        if outcome == DEAD:
            plan.dead.append(_dead_row(landed, notification, reason or ""))
        plan.rows.append(_row(landed, notification, outcome, reason))
        plan.outcomes[outcome, notification.trigger if notification else "unreadable"] += 1
    return plan


def _take(
    plan: BatchPlan, notification: Notification, grants: Mapping[str, dict[str, Any]], scopes: Scopes
) -> tuple[str, str | None]:
    """Note in the plan what a notification asks for; return its outcome and the reason for it."""
    kind, action = notification.kind, notification.action
    grant_id = notification.grant_id
    if kind == "grant":
        plan.fetches.append(Fetch(GRANTS, None, None, CHANGED))
        return APPLIED, None
    if grant_id not in grants:
        # It may be new; if it is, what is dead for want of it is applied once more.
        plan.fetches.append(Fetch(GRANTS, None, None, CHANGED))
        return DEAD, UNKNOWN_GRANT
    if kind == "folder":
        plan.fetches.append(Fetch(FOLDERS, grant_id, None, CHANGED))
        return APPLIED, None
    if action in {"created", "updated", "deleted"} and (kind == MESSAGE or kind in BY_KIND):
        provider = grants[grant_id]["provider"]
        judged = scopes.judge(notification, provider)
        identity = notification.object_id
        if judged.left and identity is not None:
            known = plan.left.setdefault(grant_id, {})
            known[identity] = max(notification.occurred_at, known.get(identity, 0))
        if judged.reason is not None:
            return IGNORED, judged.reason
        if judged.unsure and identity is not None:
            # Of a folder that is not known yet, or without what tells: the answer is judged as it comes.
            plan.fetches.append(Fetch(FOLDERS, grant_id, None, CHANGED))
            plan.fetches.append(Fetch(MESSAGE, grant_id, identity, UNKNOWN))
            return APPLIED, None
        _take_change(plan, judged.notification, scopes.of(grant_id, provider).subset)
        return APPLIED, None
    return KEPT, "It does not change what the tables hold"


def _take_change(plan: BatchPlan, notification: Notification, subset: Subset) -> None:
    kind, grant_id = notification.kind, notification.grant_id
    stream = BY_KIND.get(kind)
    if _is_nowhere(notification):
        plan.fetches.append(Fetch(kind, grant_id, identity_of(notification.record), NO_CALENDAR))
        return
    observation, letter = read_changes(notification)
    plan.observations.setdefault(kind, {}).setdefault(grant_id, []).append(observation)
    if notification.action == "updated" or TRANSFORMED in notification.suffixes:
        key = (grant_id, observation.within, observation.id) if stream and stream.within else None
        plan.partial.setdefault(kind, set()).add(key or (grant_id, observation.id))
    if letter is not None:
        plan.dead.append(dead_letter_row(letter, notification.occurred_at, grant_id))
    if stream is not None:
        return
    if CUT in notification.suffixes:
        plan.fetches.append(Fetch(MESSAGE, grant_id, observation.id, TRUNCATED))
    elif _lacks(notification, observation, subset):
        plan.fetches.append(Fetch(MESSAGE, grant_id, observation.id, NO_BODY))


def _is_nowhere(notification: Notification) -> bool:
    """Tell whether an event came without its calendar, so that it has to be looked for in each."""
    stream = BY_KIND.get(notification.kind)
    if stream is None or not stream.within or notification.action == "deleted":
        return False
    return notification.object_id is not None and notification.record.get(stream.within) is None


def _lacks(notification: Notification, observation: Observation, subset: Subset) -> bool:
    """Tell whether something is left out that may have changed all the same."""
    if observation.gone or METADATA in notification.suffixes:
        # With a scope that shows no content the API has none to fetch.
        return False
    sent = _CHANGEABLE if TRANSFORMED in notification.suffixes else {"body"}
    return not {name for name in sent if subset.keeps("message", name)} <= observation.fields.keys()


def _row(
    landed: Landed, notification: Notification | None, outcome: str, reason: str | None
) -> tuple[Any, ...]:
    told: tuple[Any, ...] = (None,) * 6
    if notification is not None:
        told = (
            notification.id,
            notification.type,
            notification.trigger,
            notification.grant_id,
            notification.object_id,
            notification.occurred_at,
        )
    return (landed.number, *told, landed.received_at, time.time(), outcome, reason)


def _dead_row(landed: Landed, notification: Notification | None, reason: str) -> tuple[Any, ...]:
    raw = landed.body[:_RAW_AT_MOST].decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
    letter = DeadLetter("notification", str(landed.number), reason, raw)
    return dead_letter_row(letter, landed.received_at, notification.grant_id if notification else None)
