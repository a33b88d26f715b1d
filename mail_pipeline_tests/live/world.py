"""A simulated provider that notifies a real receiver, and the tables that follow it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mail_pipeline.inbox.landing import Landing
from mail_pipeline.nylas.triggers import TRIGGERS
from mail_pipeline.simulator import Simulator
from mail_pipeline.sync.apply import ApplyReport, Replay, apply
from mail_pipeline_tests.backfill.world import World, differences

SECRET = "secret-of-the-tests"


@dataclass
class LiveWorld(World):
    """A world with a receiver, to which the simulator's webhook posts."""

    receiver: str = ""
    """Address of the webhook's path."""

    def subscribe(self) -> None:
        """Create the webhook that a mirror needs."""
        self.simulator.webhooks.create({"trigger_types": list(TRIGGERS), "webhook_url": self.receiver})

    def landing(self) -> Landing:
        """Open the landing table."""
        return Landing.open(self.settings())

    def apply(self, replay: Replay | None = None) -> ApplyReport:
        """Apply what has landed."""
        return apply(self.settings(), replay=replay)

    def settle(self) -> ApplyReport:
        """Deliver everything there is to deliver, and apply it."""
        self.simulator.postman.drain()
        return self.apply()

    def wrong(self) -> dict[Any, Any]:
        """Return in what the tables differ from what the provider truly has."""
        assert self.orphans() == {}
        return differences(self.stored(), self.served())

    def contents(self) -> dict[str, list[str]]:
        """Return all that is known of messages, when it was learned included."""
        tables = ("all_messages", "message_bodies", "message_participants", "message_folders", "attachments")
        return {name: sorted(map(repr, self.ask("SELECT * FROM query_table(?)", [name]))) for name in tables}


@contextmanager
def receiving(data: Path, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a receiver in a process of its own; gives the address of the webhook's path."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mail_pipeline.cli", "receive", "--port", "0", "--json", "--child"],
        env={
            **os.environ,
            "MAIL_PIPELINE_DATA": str(data),
            "NYLAS_WEBHOOK_SECRET": SECRET,
            **environment,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["webhook"], process
        finally:
            process.terminate()


@contextmanager
def live_world(simulator: Simulator, data: Path) -> Iterator[LiveWorld]:
    """Serve a simulator whose webhooks have the secret SECRET, and receive what it posts."""
    with ExitStack() as stack:
        url = stack.enter_context(simulator.serve())
        address, _ = stack.enter_context(receiving(data))
        world = LiveWorld(simulator, url, data, receiver=address)
        stack.callback(world.close)
        yield world
