"""Random changes from a seed, in the proportions of a mailbox people work in."""

from collections.abc import Collection, Iterator, Mapping
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from mail_pipeline.simulator.arrivals import made_up_text
from mail_pipeline.simulator.errands import ERRANDS, Gone, errand
from mail_pipeline.simulator.live import LiveMailbox
from mail_pipeline.simulator.problems import LACKING
from mail_pipeline.simulator.seeds import stable_random
from mail_pipeline.simulator.world import World

if TYPE_CHECKING:
    from mail_pipeline.simulator.provider import Provider

_WEIGHTS = {
    "arrive": 36,
    "flag": 28,
    "move": 14,
    "delete": 8,
    "restore": 4,
    "edit": 5,
    "create_folder": 2,
    "rename_folder": 2,
    "delete_folder": 1,
}
_RECENT = 200
_FOLDERS = 40
"""A mailbox with so many folders gets no more."""


class Step(NamedTuple):
    """One change that was made."""

    operation: str
    """The name of the Provider's method."""
    grant_id: str
    object_id: str
    """The id of what was changed, after the change."""


def steps(
    provider: "Provider",
    world: World,
    seed: int,
    grants: frozenset[str] | None,
    *,
    folders: bool = True,
    streams: Collection[str] = ("messages",),
) -> Iterator[Step]:
    """Make one change for each `next`; ends only where no valid grant has any of the streams.

    Without `folders` none is made, renamed or deleted. Raises ValueError for an unknown stream.
    """
    if unknown := set(streams) - {"messages", *ERRANDS}:
        raise ValueError(f"nothing happens to {', '.join(sorted(unknown))}")
    weights = {name: weight for stream in streams for name, weight in ERRANDS.get(stream, {}).items()}
    if "messages" in streams:
        weights = _WEIGHTS | weights
    random = stable_random("life", seed)
    deleted: list[tuple[str, str]] = []
    gone: Gone = {}
    while True:
        with world.lock:
            mailboxes = [
                mailbox
                for mailbox in world
                if mailbox.grant.valid
                and _possible(world, mailbox, streams)
                and mailbox.grant.id not in world.vanished
                and (grants is None or mailbox.grant.id in grants)
            ]
            if not mailboxes:
                return
            mailbox = mailboxes[int(random.random() * len(mailboxes))]
            operation = _draw(weights, random)
            stream = next((one for one, errands in ERRANDS.items() if operation in errands), "messages")
            if mailbox.grant.provider in LACKING[stream]:
                continue
            if stream == "messages":
                step = _step(provider, mailbox, operation, random, deleted, folders=folders)
            else:
                made = errand(provider, world.account(mailbox), operation, random, gone)
                step = None if made is None else Step(operation, mailbox.grant.id, made)
        if step is not None:
            yield step


def _step(
    provider: "Provider",
    mailbox: LiveMailbox,
    operation: str,
    random: Random,
    deleted: list[tuple[str, str]],
    *,
    folders: bool,
) -> Step | None:
    """Make one change of the mail; None where the one drawn is not possible here, or not wanted."""
    grant_id = mailbox.grant.id
    if operation.endswith("_folder") and not folders:
        return None
    if operation == "arrive":
        return _arrive(provider, mailbox, random)
    if operation == "restore":
        return _restore(provider, grant_id, random, deleted)
    if operation.endswith("_folder"):
        return _folder(provider, mailbox, operation, random)
    if not len(mailbox):
        return None
    message_id = str(mailbox.message(_some_number(mailbox, random))["id"])
    if operation == "flag":
        made = _flag(provider, mailbox, message_id, random)
    elif operation == "move":
        made = provider.move(grant_id, message_id, [_some_folder(mailbox, random)])
    elif operation == "edit":
        text = made_up_text("edit", int(random.random() * 1e9))
        made = provider.edit(grant_id, message_id, subject=text, body=f"<p>{text}</p>")
    else:
        made = provider.delete(grant_id, message_id)
        deleted.append((grant_id, message_id))
    return Step(operation, grant_id, made)


def _possible(world: World, mailbox: LiveMailbox, streams: Collection[str]) -> bool:
    """Return whether anything can ever happen to one of the streams here."""
    has = {stream for stream in streams if mailbox.grant.provider not in LACKING[stream]}
    if has != {"events"}:
        return bool(has)
    return any(not calendar.closed for _, calendar in world.account(mailbox).calendars)


def _draw(weights: Mapping[str, int], random: Random) -> str:
    names, sums = tuple(weights), tuple(accumulate(weights.values()))
    point = random.random() * sums[-1]
    return next(name for name, total in zip(names, sums, strict=True) if point < total)


def _arrive(provider: "Provider", mailbox: LiveMailbox, random: Random) -> Step:
    grant_id = mailbox.grant.id
    answers = None
    if len(mailbox) and random.random() < 0.4:
        answers = str(mailbox.message(_some_number(mailbox, random))["id"])
    folders = [_some_folder(mailbox, random)] if random.random() < 0.2 else None
    made = provider.arrive(grant_id, answers=answers, folders=folders, unread=random.random() < 0.9)
    return Step("arrive", grant_id, made)


def _restore(
    provider: "Provider", grant_id: str, random: Random, deleted: list[tuple[str, str]]
) -> Step | None:
    places = [place for place, (grant, _) in enumerate(deleted) if grant == grant_id]
    if not places:
        return None
    _, message_id = deleted.pop(places[int(random.random() * len(places))])
    return Step("restore", grant_id, provider.restore(grant_id, message_id))


def _flag(provider: "Provider", mailbox: LiveMailbox, message_id: str, random: Random) -> str:
    record = mailbox.record(message_id)
    if random.random() < 0.8:
        return provider.flag(mailbox.grant.id, message_id, unread=not record["unread"])
    return provider.flag(mailbox.grant.id, message_id, starred=not record["starred"])


def _folder(provider: "Provider", mailbox: LiveMailbox, operation: str, random: Random) -> Step | None:
    grant_id = mailbox.grant.id
    name = made_up_text("folder", int(random.random() * 1e9))
    own = [folder.id for folder in mailbox.folders if folder.role == "user"]
    if operation == "create_folder":
        if len(mailbox.folders) >= _FOLDERS:
            return None
        return Step(operation, grant_id, provider.create_folder(grant_id, name))
    if not own:
        return None
    folder_id = own[int(random.random() * len(own))]
    if operation == "rename_folder":
        return Step(operation, grant_id, provider.rename_folder(grant_id, folder_id, name))
    return Step(operation, grant_id, provider.delete_folder(grant_id, folder_id))


def _some_number(mailbox: LiveMailbox, random: Random) -> int:
    """Return a message's number: mostly a recent one, as people work with those."""
    span = min(len(mailbox), _RECENT) if random.random() < 0.8 else len(mailbox)
    return len(mailbox) - 1 - int(random.random() * span)


def _some_folder(mailbox: LiveMailbox, random: Random) -> str:
    places = [folder.id for folder in mailbox.folders if folder.role != "flag"]
    return places[int(random.random() * len(places))]
