"""Attachments by their ids: what the API tells of them, and their bytes."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mail_pipeline.simulator.live import LiveMailbox
from mail_pipeline.simulator.pager import Result
from mail_pipeline.simulator.pages import View
from mail_pipeline.simulator.problems import bad_request, needs, not_found
from mail_pipeline.simulator.queries import message_query
from mail_pipeline.simulator.world import World

OPERATIONS = ("attachment", "download")
"""What is told of an attachment, and its bytes."""


class Attachments:
    """Finds attachments in a world, whose lock the caller holds."""

    def __init__(self, world: World, *, changing_ids: bool = False) -> None:
        """Take whether Google's ids change each time their message is read; older ones are then not found."""
        self._world = world
        self._changing_ids = changing_ids
        self._readings = Counter[tuple[str, str]]()

    def shown(self, mailbox: LiveMailbox, record: dict[str, Any]) -> dict[str, Any]:
        """Return a message as it is served now, with the ids that its attachments have from now on."""
        if not self._change(mailbox) or not record.get("attachments"):
            return record
        self._readings[mailbox.grant.id, record["id"]] += 1
        files = [each | {"id": self._id(mailbox, record["id"], each)} for each in record["attachments"]]
        return record | {"attachments": files}

    def find(
        self, operation: str, mailbox: LiveMailbox, attachment_id: str, params: Mapping[str, str]
    ) -> Result:
        """Answer one of OPERATIONS; of the IMAP family's old mail only where query_imap is asked for."""
        needs(mailbox.grant, "messages")
        asked = dict(params)
        message_id = asked.pop("message_id", "")
        if not message_id:
            raise bad_request("message_id is required")
        number = mailbox.find(message_id)
        view = View.of(mailbox, message_query(mailbox.grant, asked), self._world.cache_start)
        if number is None or not view.holds(number):
            raise not_found("message")
        for attachment in mailbox.message(number).get("attachments") or []:
            if self._id(mailbox, message_id, attachment) == attachment_id:
                if operation == "download":
                    return Result({}, content=mailbox.content(number, attachment))
                return Result({"data": attachment | {"id": attachment_id}})
        raise not_found("attachment")

    def _change(self, mailbox: LiveMailbox) -> bool:
        return self._changing_ids and mailbox.grant.provider == "google"

    def _id(self, mailbox: LiveMailbox, message_id: str, attachment: Mapping[str, Any]) -> str:
        readings = self._readings[mailbox.grant.id, message_id] if self._change(mailbox) else 0
        return f"{attachment['id']}.{readings}" if readings else str(attachment["id"])
