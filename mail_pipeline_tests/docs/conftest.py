"""A project with a filled lake, for everything the pages ask of one."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mail_pipeline.marts.refresh import refresh_marts
from mail_pipeline.marts.texts import refresh_texts
from mail_pipeline.search.refresh import refresh
from mail_pipeline.settings import Settings
from mail_pipeline.simulator import Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline.sync.mirror import mirror
from mail_pipeline.sync.streams import RECORD_STREAMS
from mail_pipeline_tests.backfill.world import world

_MAILBOXES = [
    MailboxSpec("google", messages=60, body_mean=300, contacts=5, calendars=1, events=8),
    MailboxSpec("ews", messages=40, body_mean=300, contacts=1, calendars=1, events=1),
]


@dataclass(frozen=True)
class Project:
    """A project folder whose data folder was filled elsewhere and then moved here."""

    folder: Path
    grant: str
    """A grant in one pass."""
    environment: dict[str, str]

    @property
    def data(self) -> Path:
        """Return the data folder, where it is by default."""
        return self.folder / "data"


@pytest.fixture(scope="package")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Two accounts, complete, with contacts and events, the marts and a search index."""
    folder = tmp_path_factory.mktemp("docs")
    simulator = Simulator(Fleet.generate(7, _MAILBOXES), limits=Limits.off())
    grants = [mailbox.grant.id for mailbox in simulator.fleet]
    with world(simulator, folder / "before" / "data") as place:
        assert {each.state for each in place.backfill(place.register()).values()} == {"complete"}
        for stream in ("contacts", "calendars", "events"):
            _mirror(place.settings(), stream, grants)
        place.close()
        refresh_marts(place.data)
        refresh_texts(place.data)
        refresh(place.data)
        environment = {
            name: value for name, value in place.environment().items() if name != "MAIL_PIPELINE_DATA"
        }
        (folder / "before").rename(folder / "project")
        for name in ("workspace.yaml", "dagster.yaml"):
            (folder / "project" / name).touch()
        yield Project(folder / "project", place.grant_id("google"), environment)


def _mirror(settings: Settings, stream: str, grants: list[str]) -> None:
    ended = list(mirror(RECORD_STREAMS[stream], grants, settings=settings))
    assert {each.state for each in ended} <= {"complete", "skipped"}


@pytest.fixture
def inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Work in the project, and give the environment back, which commands change."""
    monkeypatch.chdir(project.folder)
    before = dict(os.environ)
    yield project
    os.environ.clear()
    os.environ.update(before)
