"""What lies in a folder of attachments, set against what the simulator serves."""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mail_pipeline.settings import Settings
from mail_pipeline.simulator import Fleet, Limits, LoggedRequest, MailboxSpec, Simulator
from mail_pipeline.sync.attachments import AttachmentOptions, AttachmentProgress, fetch_attachments
from mail_pipeline_tests.backfill.world import World

Key = tuple[str, str, int]
"""Grant id, message id, position."""

CONTENT_ADDRESS = re.compile(r"([0-9a-f]{2})/\1[0-9a-f]{62}")


@dataclass
class Filed(World):
    """A world with the folder for its attachments."""

    @property
    def folder(self) -> Path:
        return self.data / "attachments"

    def fill(self) -> None:
        """Store all messages."""
        self.register()
        assert {each.state for each in self.backfill().values()} == {"complete"}

    def fetch(self, *, settings: Settings | None = None, **options: Any) -> dict[str, AttachmentProgress]:
        """Fetch attachments to the end and return each grant's last word."""
        ended = fetch_attachments(settings or self.settings(), options=AttachmentOptions(**options))
        return {each.grant_id: each for each in ended}

    def truth(self) -> dict[Key, str]:
        """Return the SHA-256 of every attachment there is."""
        return {
            (mailbox.grant.id, message["id"], position): hashlib.sha256(
                self.simulator.true_bytes(mailbox.grant.id, message["id"], position)
            ).hexdigest()
            for mailbox in self.simulator.fleet
            for message in self.simulator.truth(mailbox.grant.id)
            for position in range(len(message["attachments"] or ()))
        }

    def rows(self) -> dict[Key, dict[str, Any]]:
        """Return the rows of `attachment_files`; fails where a key is there twice."""
        rows = self.connection.execute("SELECT * FROM attachment_files").to_arrow_table().to_pylist()
        found = {(row["grant_id"], row["message_id"], row["position"]): row for row in rows}
        assert len(found) == len(rows)
        return found

    def states(self) -> Counter[str]:
        return Counter(row["state"] for row in self.rows().values())

    def digests(self) -> dict[Key, str]:
        """Return the SHA-256 of the bytes that lie where the rows say; fails where row and bytes differ."""
        found = {}
        for key, row in self.rows().items():
            if row["state"] == "stored":
                content = (self.folder / row["path"]).read_bytes()
                assert hashlib.sha256(content).hexdigest() == row["sha256"]
                assert len(content) == row["size"]
                found[key] = row["sha256"]
        return found

    def files(self) -> set[str]:
        """Return the paths of all files below the folder."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}

    def downloads(self, after: int = 0) -> list[LoggedRequest]:
        """Return the requests for bytes that came after the first so many requests."""
        return [each for each in self.simulator.requests[after:] if each.operation == "download"]

    def asked(self, after: int = 0) -> list[Key]:
        """Return which attachments these requests were for."""
        keys = {
            (grant_id, message_id, identity): (grant_id, message_id, position)
            for grant_id, message_id, position, identity in self.ask(
                "SELECT grant_id, message_id, position, id FROM attachments"
            )
        }
        return [
            keys[each.grant_id, each.query["message_id"], unquote(each.path.split("/")[-2])]
            for each in self.downloads(after)
        ]

    def grants(self) -> list[str]:
        return [mailbox.grant.id for mailbox in self.simulator.fleet]


PROVIDERS = ("google", "microsoft", "imap", "ews")


def mailboxes(**options: Any) -> Simulator:
    """Return a simulator of four small mailboxes, each with 8 attachments of up to 500 kB or a few more."""
    specs = [
        MailboxSpec(each, messages=4, body_mean=300, user_folders=0, oddity_every=0) for each in PROVIDERS
    ]
    simulator = Simulator(Fleet.generate(5, specs), **{"limits": Limits.off(), **options})
    for mailbox in simulator.fleet:
        for count in (1, 2, 2, 3):
            simulator.provider.arrive(mailbox.grant.id, body="Files.", attachments=count)
    return simulator
