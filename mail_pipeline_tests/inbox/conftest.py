"""A landing table on each database, and a throw-away Postgres."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mail_pipeline.inbox.landing import Landing
from mail_pipeline.settings import Settings

DATABASES = ("sqlite", "postgres")


class Postgres:
    """A server in a folder of its own, reached by a Unix socket there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "cluster"
        # Postgres refuses to run as root.
        self._user = ["setpriv", "--reuid=nobody", "--clear-groups", "--"] if os.geteuid() == 0 else []
        if self._user:
            shutil.chown(folder, "nobody")
        self._run("initdb", "-U", "mail", "-A", "trust", "-E", "UTF8", "--no-sync", "-D", str(self._data))

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses='' -c max_connections=50"
        self._run(
            "pg_ctl", "-w", "-D", str(self._data), "-o", options, "-l", str(self._folder / "log"), "start"
        )

    def stop(self) -> None:
        self._run("pg_ctl", "-w", "-m", "immediate", "-D", str(self._data), "stop")

    def url(self, database: str) -> str:
        return f"postgresql://mail@/{database}?host={self._folder}"

    def new_database(self, name: str) -> str:
        self._run("createdb", "-U", "mail", "-h", str(self._folder), name)
        return self.url(name)

    def _run(self, *command: str) -> None:
        # Not captured: the server would keep the pipe open.
        with (self._folder / "commands.log").open("ab") as log:
            subprocess.run([*self._user, *command], check=True, stdout=log, stderr=log, cwd=self._folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("psycopg", reason="Postgres' driver is not installed")
    if not all(shutil.which(program) for program in ("initdb", "pg_ctl", "createdb")):
        pytest.skip("Postgres' initdb, pg_ctl and createdb are not on the path")
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("Postgres refuses to run as root, and there is no setpriv to become another user")
    # The path of a Unix socket is limited to 107 bytes, which pytest's folders may exceed.
    folder = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    server = Postgres(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(params=DATABASES)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Return settings of a landing table that is not there yet, on each database in turn."""
    if request.param == "sqlite":
        return Settings(data=tmp_path / "data")
    server: Postgres = request.getfixturevalue("postgres")
    return Settings(data=tmp_path / "data", database_url=server.new_database(tmp_path.name))


@pytest.fixture
def landing(settings: Settings) -> Iterator[Landing]:
    with Landing.open(settings) as landing:
        yield landing
