"""Where a command works: the project folder, its `.env`, the data folder."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from mail_pipeline.project import (
    CONFIG,
    DATA,
    data_folder,
    demo_folder,
    environment,
    find_project,
    reading_folder,
)
from mail_pipeline.settings import CONFIG_FILE, Settings


@dataclass(frozen=True, slots=True)
class Workplace:
    """The project folder, None where there is none, and the settings, with an absolute data folder."""

    root: Path | None
    settings: Settings
    simulated: bool = False
    """Its mail comes from a simulator that the command has started."""

    @property
    def data(self) -> Path:
        """Return the data folder."""
        return self.settings.data

    def for_simulation(self, api_uri: str = "", api_key: str = "", webhook_secret: str = "") -> "Workplace":
        """Return the place where simulated mail is kept, with what is known of its simulator.

        It is a folder of its own below the data folder, so that simulated mail never mixes with real mail.
        """
        settings = replace(
            self.settings,
            api_uri=api_uri,
            api_key=api_key,
            webhook_secrets=tuple(filter(None, [webhook_secret])),
            # A database of its own for simulated notifications would have to be named.
            database_url=None,
            attachments=None,
            data=demo_folder(self.data),
        )
        return replace(self, settings=settings, simulated=True)

    def for_reading(self) -> "Workplace":
        """Return the place whose lake people mean: without a key the demo's, where that is the only one."""
        data = reading_folder(self.data, has_key=bool(self.settings.api_key))
        return replace(self, settings=replace(self.settings, data=data))

    def enter(self) -> Path:
        """Make this process and its children work here; return DAGSTER_HOME, made ready.

        Runs that a hard kill left behind in it are marked as failed. Raises StopRun where the data folder
        cannot be written.
        """
        # Dagster takes 2 CPU seconds to import, and most commands do without it.
        import dagster as dg

        from mail_pipeline.dagster_home import dagster_errors, fail_orphaned_runs, prepare_dagster_home
        from mail_pipeline.disk import disk_errors

        os.environ[DATA] = str(self.data)
        os.environ[CONFIG] = str(self.settings.config or "")
        os.environ["NYLAS_API_URI"] = self.settings.api_uri
        os.environ["NYLAS_API_KEY"] = self.settings.api_key
        os.environ["NYLAS_WEBHOOK_SECRET"] = ",".join(self.settings.webhook_secrets)
        os.environ["MAIL_PIPELINE_DATABASE_URL"] = self.settings.database_url or ""
        os.environ["MAIL_PIPELINE_ATTACHMENTS"] = self.settings.attachments or ""
        with disk_errors(self.data), dagster_errors(self.data):
            self.data.mkdir(parents=True, exist_ok=True)
            # Dagster makes its databases without a lock: of two that start at once one would fail.
            with FileLock(self.data / "dagster.lock"):
                home = prepare_dagster_home(self.data)
                os.environ["DAGSTER_HOME"] = str(home)
                with dg.DagsterInstance.get() as instance:
                    fail_orphaned_runs(instance)
        return home


def find_workplace() -> Workplace:
    """Find the project, read its `.env` and the environment, which wins, and tell children of it.

    A relative MAIL_PIPELINE_DATA or MAIL_PIPELINE_CONFIG counts from the current folder, and one in `.env`
    from the folder of that file. Raises StopRun naming a variable that cannot be right.
    """
    root = find_project()
    env = environment(root)
    os.environ.update(env)
    settings = Settings.from_env(env)
    config = settings.config or (root or Path.cwd()) / CONFIG_FILE
    if settings.config is not None or config.is_file():
        settings = replace(settings, config=config.resolve())
    return Workplace(root=root, settings=replace(settings, data=data_folder(root, env)))
