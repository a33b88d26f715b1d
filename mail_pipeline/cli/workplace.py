"""Where a command works: the project folder, its `.env`, the data folder."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from dotenv import dotenv_values

import mail_pipeline
from mail_pipeline.errors import StopRun
from mail_pipeline.lake.connection import catalog_path
from mail_pipeline.settings import CONFIG_FILE, Settings

_DATA = "MAIL_PIPELINE_DATA"
_CONFIG = "MAIL_PIPELINE_CONFIG"
_MARKS = ("workspace.yaml", "dagster.yaml")


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
            data=_demo(self.data),
        )
        return replace(self, settings=settings, simulated=True)

    def for_reading(self) -> "Workplace":
        """Return the place whose lake people mean: without a key the demo's, where that is the only one."""
        demo = _demo(self.data)
        if self.settings.api_key or catalog_path(self.data).exists() or not catalog_path(demo).exists():
            return self
        return replace(self, settings=replace(self.settings, data=demo))

    def enter(self) -> Path:
        """Make this process and its children work here; return DAGSTER_HOME, made ready.

        Runs that a hard kill left behind in it are marked as failed. Raises StopRun where the data folder
        cannot be written.
        """
        # Dagster takes 2 CPU seconds to import, and most commands do without it.
        import dagster as dg

        from mail_pipeline.dagster_home import fail_orphaned_runs, prepare_dagster_home
        from mail_pipeline.lake.disk import disk_errors

        os.environ[_DATA] = str(self.data)
        os.environ[_CONFIG] = str(self.settings.config or "")
        os.environ["NYLAS_API_URI"] = self.settings.api_uri
        os.environ["NYLAS_API_KEY"] = self.settings.api_key
        os.environ["NYLAS_WEBHOOK_SECRET"] = ",".join(self.settings.webhook_secrets)
        os.environ["MAIL_PIPELINE_DATABASE_URL"] = self.settings.database_url or ""
        os.environ["MAIL_PIPELINE_ATTACHMENTS"] = self.settings.attachments or ""
        with disk_errors(self.data):
            home = prepare_dagster_home(self.data)
            os.environ["DAGSTER_HOME"] = str(home)
            with dg.DagsterInstance.get() as instance:
                fail_orphaned_runs(instance)
        return home


def find_workplace() -> Workplace:
    """Find the project, read its `.env` and the environment, which wins.

    The project is the current folder, or else the checkout this package is installed from; where there is
    neither, the current folder counts. A relative MAIL_PIPELINE_DATA or MAIL_PIPELINE_CONFIG counts from the
    current folder, and one in `.env` from the folder of that file. Raises StopRun naming a variable that
    cannot be right.
    """
    root = _find_root()
    base = root or Path.cwd()
    _read_env_file(base / ".env")
    settings = Settings.from_env()
    config = settings.config or base / CONFIG_FILE
    if settings.config is not None or config.is_file():
        settings = replace(settings, config=config.resolve())
    data = ((Path.cwd() if os.environ.get(_DATA) else base) / settings.data).resolve()
    return Workplace(root=root, settings=replace(settings, data=data))


def _find_root() -> Path | None:
    checkout = Path(mail_pipeline.__file__).resolve().parents[1]
    for folder in (Path.cwd(), checkout):
        if all((folder / mark).is_file() for mark in _MARKS):
            return folder
    return None


def _read_env_file(path: Path) -> None:
    if not path.is_file():
        return
    try:
        values = dotenv_values(path)
    except (OSError, UnicodeDecodeError) as error:
        raise StopRun(
            f"{path} cannot be read ({type(error).__name__})",
            next_step="It should be UTF-8 text with one NAME=value a line.",
        ) from None
    for name, value in values.items():
        if value and name in {_DATA, _CONFIG} and "://" not in value:
            os.environ.setdefault(name, str(path.parent / value))
        elif value is not None:
            os.environ.setdefault(name, value)


def _demo(data: Path) -> Path:
    return data / "demo"
