"""Commands as people start them, on a simulator and on a lake that is filled once."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mail_pipeline import connect
from mail_pipeline.cli import main
from mail_pipeline.settings import Settings
from mail_pipeline.simulator import API_KEY, Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline.sync.accounts import refresh_folders, refresh_grants
from mail_pipeline.sync.backfill import backfill

SECONDS = 120
OWN = ("NYLAS_", "MAIL_PIPELINE_", "DAGSTER_")


@dataclass(frozen=True)
class Cli:
    """Runs `mail-pipeline` in a folder, with none of this machine's own settings."""

    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        outside = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
        return {**outside, **self.env}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "mail_pipeline.cli", *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.cwd,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run it as a process of its own."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.cwd,
            env=self.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def invoke(self, *arguments: str, stdin: str | None = None) -> Result:
        """Run it in this process: quicker, and the same for commands that start nothing."""
        unset = {name: None for name in os.environ if name.startswith(OWN)}
        return CliRunner().invoke(main, arguments, input=stdin, env={**unset, **self.env})


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """Commands set variables for the processes they start; give them back."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cli]:
    """Make a `Cli` with these variables; the data folder is a new one unless they say otherwise."""
    monkeypatch.chdir(tmp_path)

    def make(**env: str) -> Cli:
        return Cli(tmp_path, {"MAIL_PIPELINE_DATA": str(tmp_path / "data"), **env})

    return make


@dataclass(frozen=True)
class Served:
    simulator: Simulator
    url: str

    @property
    def env(self) -> dict[str, str]:
        return {
            "NYLAS_API_URI": self.url,
            "NYLAS_API_KEY": API_KEY,
            "MAIL_PIPELINE_MIN_PAGE_INTERVAL": "0",
        }

    def grant_id(self, provider: str) -> str:
        return next(box.grant.id for box in self.simulator.fleet if box.grant.provider == provider)


@pytest.fixture(scope="package")
def served() -> Iterator[Served]:
    """Three mailboxes; the last one's owner has to connect it again."""
    specs = [
        MailboxSpec("microsoft", messages=450, body_mean=300),
        MailboxSpec("imap", messages=120, body_mean=300, user_folders=1),
        MailboxSpec("ews", messages=50, body_mean=300, valid=False),
    ]
    simulator = Simulator(Fleet.generate(11, specs), limits=Limits.off())
    with simulator.serve() as url:
        yield Served(simulator, url)


@pytest.fixture(scope="package")
def stored(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that tests only read, with the three mailboxes: two complete, one failed."""
    data = tmp_path_factory.mktemp("filled")
    fill(data, served)
    return data


@pytest.fixture
def copied(stored: Path, tmp_path: Path) -> Path:
    """Return the test's own copy of that data folder."""
    return Path(shutil.copytree(stored, tmp_path / "data"))


@pytest.fixture
def here(cli: Callable[..., Cli], served: Served, copied: Path) -> Cli:
    """Work on that copy, with the key of what is served."""
    return cli(**served.env, MAIL_PIPELINE_DATA=str(copied))


def fill(data: Path, served: Served) -> None:
    settings = Settings(api_key=API_KEY, api_uri=served.url, data=data, min_page_interval=0.0)
    refresh_grants(settings)
    refresh_folders(settings)
    ended: dict[str, Any] = {}
    for mailbox in backfill(_active(data), settings=settings):
        ended[mailbox.partition_key] = mailbox.state
    assert ended.pop(served.grant_id("ews")) == "failed"
    assert set(ended.values()) == {"complete"}


def _active(data: Path) -> list[str]:
    with connect(data) as connection:
        return [key for (key,) in connection.execute("SELECT partition_key FROM mailboxes").fetchall()]
