"""The API's calls without HTTP: parameters in, data and the numbers about it out."""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from mail_pipeline.simulator.cursors import Cursors, Position
from mail_pipeline.simulator.folders import Folder
from mail_pipeline.simulator.live import LiveMailbox
from mail_pipeline.simulator.pager import REPEATED, Pager, Result
from mail_pipeline.simulator.pages import View
from mail_pipeline.simulator.problems import bad_cursor, grant_not_found, needs, not_found
from mail_pipeline.simulator.queries import (
    flag,
    folder_list_select,
    grant_list_parameters,
    message_list_query,
    message_query,
    paging,
    selected,
    whole_number,
)
from mail_pipeline.simulator.streams import Streams
from mail_pipeline.simulator.world import World

GRANTS_DEFAULT = 10


class Service:
    """Answers calls over a world, whose lock the caller holds."""

    def __init__(
        self,
        world: World,
        cursors: Cursors,
        *,
        irregular: float,
        shown: Callable[[LiveMailbox, dict[str, Any]], dict[str, Any]] = lambda _, record: record,
    ) -> None:
        """Take the share of irregular pages, and what a message goes through when it is served."""
        self.world = world
        self._pager = Pager(cursors, seed=world.fleet.seed, irregular=irregular)
        self.streams = Streams(world, self._pager)
        self._shown = shown

    def mailbox(self, identifier: str) -> LiveMailbox:
        """Return the mailbox of a grant by id or e-mail address; raises the API's 404."""
        mailbox = self.world.find(identifier)
        if mailbox is None or mailbox.grant.id in self.world.vanished:
            raise grant_not_found()
        return mailbox

    def grants(self, params: Mapping[str, str]) -> Result:
        """List grants: newest first and ten at a time unless asked otherwise; offset paging, no cursor."""
        page = paging("grants", grant_list_parameters(params), GRANTS_DEFAULT)
        offset = whole_number(params, "offset", 0)
        since, before = whole_number(params, "since", 0), whole_number(params, "before", None)
        found = [
            grant
            for grant in (mailbox.grant for mailbox in self.world)
            if grant.id not in self.world.vanished
            and since <= grant.created_at
            and (before is None or grant.created_at <= before)
            and params.get("email") in {None, grant.email}
            and params.get("provider") in {None, grant.provider}
            and params.get("grant_status") in {None, "valid" if grant.valid else "invalid"}
        ]
        found.sort(
            key=attrgetter(params.get("sort_by", "created_at")),
            reverse=params.get("order_by", "desc") == "desc",
        )
        records = [grant.record() for grant in found[offset : offset + page.limit]]
        return Result({"data": records, "limit": page.limit, "offset": offset}, len(records))

    def grant(self, identifier: str) -> Result:
        """Return one grant."""
        return Result({"data": self.mailbox(identifier).grant.record()})

    def folders(self, mailbox: LiveMailbox, path: str, params: Mapping[str, str], now: float) -> Result:
        """List folders, 50 at a time unless asked otherwise."""
        needs(mailbox.grant, "messages")
        select = folder_list_select(params)
        page = paging(path, params)
        flag(params, "include_hidden_folders")
        parent = params.get("parent_id")
        shown = [folder for folder in self._folders(mailbox) if parent in {None, folder.parent_id}]
        if flag(params, "single_level") and parent is None:
            listed = {folder.id for folder in shown}
            shown = [folder for folder in shown if folder.parent_id not in listed]
        position = self._pager.open(page, now)
        start = 0 if position is None else position.next
        end = start + page.limit
        records = [self._folder_record(mailbox, folder) for folder in shown[start:end]]
        following = Position(end) if end < len(shown) else None
        envelope = {"data": selected(records, select)} | self._pager.next(following, page, now)
        return Result(envelope, len(records))

    def folder(self, mailbox: LiveMailbox, folder_id: str) -> Result:
        """Return one folder."""
        needs(mailbox.grant, "messages")
        for folder in self._folders(mailbox):
            if folder.id == folder_id:
                return Result({"data": self._folder_record(mailbox, folder)})
        raise not_found("folder")

    def messages(
        self,
        mailbox: LiveMailbox,
        path: str,
        params: Mapping[str, str],
        now: float,
        *,
        repeat_records: bool = False,
    ) -> Result:
        """List messages, newest first, 50 at a time unless asked otherwise.

        `repeat_records` puts the end of the page before in front, as some providers do.
        """
        needs(mailbox.grant, "messages")
        query, page = message_list_query(mailbox.grant, params), paging(path, params)
        self._require_folder(mailbox, query.folder_id)
        view = View.of(mailbox, query, self.world.cache_start)
        position = self._pager.open(page, now)
        _require_place(mailbox, position)
        repeated = view.before(position, min(REPEATED, page.limit - 1)) if repeat_records else []
        room = page.limit - len(repeated)
        pager = self._pager
        part = view.page(position, room, irregular=pager.irregular, seed=pager.seed, binding=page.binding)
        numbers = repeated + part.numbers
        records = [self._shown(mailbox, view.record(number)) for number in numbers]
        envelope = {"data": records} | pager.next(part.next, page, now)
        return Result(envelope, len(numbers), [mailbox.date(number) for number in numbers])

    def message(self, mailbox: LiveMailbox, message_id: str, params: Mapping[str, str]) -> Result:
        """Return one message: of the IMAP family's only the last 90 days, unless query_imap is asked for."""
        needs(mailbox.grant, "messages")
        query = message_query(mailbox.grant, params)
        self._require_folder(mailbox, query.folder_id)
        number = mailbox.find(message_id)
        view = View.of(mailbox, query, self.world.cache_start)
        if number is None or not view.holds(number):
            raise not_found("message")
        return Result({"data": self._shown(mailbox, view.record(number))}, 1, [mailbox.date(number)])

    def _folders(self, mailbox: LiveMailbox) -> list[Folder]:
        grant_id = mailbox.grant.id
        return [folder for folder in mailbox.folders if (grant_id, folder.id) not in self.world.vanished]

    def _folder_record(self, mailbox: LiveMailbox, folder: Folder) -> dict[str, Any]:
        counts = mailbox.counts()
        total, unread = (None, None) if counts is None else counts[folder.id]
        return folder.record(mailbox.grant.id, total, unread)

    def _require_folder(self, mailbox: LiveMailbox, folder_id: str | None) -> None:
        if folder_id is not None and folder_id not in {folder.id for folder in self._folders(mailbox)}:
            raise not_found("folder")


def _require_place(mailbox: LiveMailbox, position: Position | None) -> None:
    """Raise the API's 400 for a cursor at mail that came before the simulator was started again."""
    try:
        mailbox.number(-1 if position is None else position.next)
    except KeyError:
        raise bad_cursor() from None
