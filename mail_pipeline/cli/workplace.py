"""Where a command works: the project folder, its `.env`, the data folder."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from dotenv import dotenv_values

import mail_pipeline
from mail_pipeline.errors import StopRun
from mail_pipeline.lake.connection import catalog_path
from mail_pipeline.lake.disk import disk_errors
from mail_pipeline.settings import Settings

_DATA = "MAIL_PIPELINE_DATA"
_MARKS = ("workspace.yaml", "dagster.yaml")
_REMOTE = "s3://"


@dataclass(frozen=True, slots=True)
class Workplace:
    """The project folder, None where there is none, and the settings, with an absolute data folder."""

    root: Path | None
    settings: Settings
    data_chosen: bool
    """MAIL_PIPELINE_DATA says which data folder."""

    def simulated(self, api_uri: str, api_key: str) -> "Workplace":
        """Return the same place with a simulator for Nylas; its mail never mixes with real mail."""
        data = self.settings.data if self.data_chosen else self.settings.data / "demo"
        settings = replace(self.settings, api_uri=api_uri, api_key=api_key, data=data, database_url=None)
        return replace(self, settings=settings)

    def for_reading(self) -> "Workplace":
        """Return the place whose lake people mean: the demo's, where there is no other and none is chosen."""
        demo = self.settings.data / "demo"
        if self.data_chosen or catalog_path(self.settings.data).exists() or not catalog_path(demo).exists():
            return self
        return replace(self, settings=replace(self.settings, data=demo))

    def enter(self) -> Path:
        """Make this process and its children work here; return DAGSTER_HOME, made ready.

        Raises StopRun where the data folder cannot be written.
        """
        # Dagster takes 2 CPU seconds to import, and most commands do without it.
        from mail_pipeline.dagster_home import prepare_dagster_home

        settings = self.settings
        if settings.tables_uri is None:
            os.environ[_DATA] = str(settings.data)
        os.environ["NYLAS_API_URI"] = settings.api_uri
        os.environ["NYLAS_API_KEY"] = settings.api_key
        if settings.database_url is None:
            os.environ.pop("MAIL_PIPELINE_DATABASE_URL", None)
        with disk_errors(settings.data):
            home = prepare_dagster_home(settings.data)
        os.environ["DAGSTER_HOME"] = str(home)
        return home


def find_workplace() -> Workplace:
    """Find the project, read its `.env` and the environment, which wins.

    The project is the current folder, or else the checkout this package is installed from. A relative
    MAIL_PIPELINE_DATA counts from the current folder, and one in `.env` from the folder of that file.
    Raises StopRun naming a variable that cannot be right.
    """
    root = _find_root()
    base = root or Path.cwd()
    _read_env_file(base)
    settings = Settings.from_env()
    chosen = bool(os.environ.get(_DATA))
    local = chosen and settings.tables_uri is None
    data = (Path.cwd() if local else base) / settings.data
    return Workplace(root=root, settings=replace(settings, data=data.resolve()), data_chosen=chosen)


def _find_root() -> Path | None:
    here = Path.cwd()
    checkout = Path(mail_pipeline.__file__).resolve().parents[1]
    return next((path for path in (here, checkout) if all((path / mark).is_file() for mark in _MARKS)), None)


def _read_env_file(folder: Path) -> None:
    path = folder / ".env"
    if not path.is_file():
        return
    try:
        values = dotenv_values(path)
    except (OSError, UnicodeDecodeError) as error:
        raise StopRun(
            f"{path} cannot be read ({type(error).__name__})",
            next_step="It should be UTF-8 text, with one NAME=value a line.",
        ) from None
    for name, value in values.items():
        if value is None or name in os.environ:
            continue
        if name == _DATA and value and not value.startswith(_REMOTE):
            value = str(folder / value)
        os.environ[name] = value
