"""The product as its user has it: `mail-pipeline up` in a project folder, on mailboxes that do as told."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from mail_pipeline.simulator import API_KEY, Faults, Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline.simulator.faults import Facts, Injection
from mail_pipeline_tests.cli.conftest import Cli
from mail_pipeline_tests.cli.test_demo import lines_until
from mail_pipeline_tests.cli.test_up import assert_gone
from mail_pipeline_tests.live.world import SECRET

_PROJECT = Path(__file__).parents[2]
_END_SECONDS = 60


class SwitchableFaults(Faults):
    """Goes by another plan from one moment to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = Faults()

    def decide(self, facts: Facts) -> Injection | None:
        return self.plan.decide(facts)


@dataclass(frozen=True)
class Product:
    url: str
    simulator: Simulator
    faults: SwitchableFaults
    webhook: str
    """Where its receiver listens for notifications, signed with SECRET."""
    data: Path

    @property
    def fleet(self) -> Fleet:
        return self.simulator.fleet

    def grant_id(self, provider: str) -> str:
        return next(box.grant.id for box in self.fleet if box.grant.provider == provider)

    def folder_id(self, provider: str, name: str) -> str:
        box = next(box for box in self.fleet if box.grant.provider == provider)
        return next(folder.id for folder in box.folders if folder.name == name)


@contextmanager
def running(project: Path, specs: list[MailboxSpec]) -> Iterator[Product]:
    """Run it in a new project folder until the block ends, and see that nothing of it is left."""
    for name in ("workspace.yaml", "dagster.yaml"):
        shutil.copy(_PROJECT / name, project)
    faults = SwitchableFaults()
    simulator = Simulator(
        Fleet.generate(3, specs), faults=faults, limits=Limits.off(), webhook_secret=SECRET, live=True
    )
    with simulator.serve() as api:
        env = {
            "NYLAS_API_URI": api,
            "NYLAS_API_KEY": API_KEY,
            "NYLAS_WEBHOOK_SECRET": SECRET,
            "MAIL_PIPELINE_MIN_PAGE_INTERVAL": "0",
        }
        with Cli(project, env).start("up", "--port", "0", "--receiver-port", "0") as process:
            try:
                assert process.stderr is not None
                webhook, url = (
                    lines_until(process.stderr, beginning)[-1].rpartition(" ")[2]
                    for beginning in ("Notifications are received on", "The Dagster UI starts:")
                )
                lines_until(process.stderr, f"The Dagster UI is up: {url}")
                yield Product(url, simulator, faults, webhook, project / "data")
            finally:
                family = psutil.Process(process.pid).children(recursive=True)
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=_END_SECONDS)
    assert process.returncode == 0
    assert_gone(family)
