"""Where the project is, what its `.env` says, and which data folder people mean."""

import os
from pathlib import Path

from dotenv import dotenv_values

from mail_pipeline.errors import StopRun
from mail_pipeline.lake.connection import catalog_path

DATA = "MAIL_PIPELINE_DATA"
CONFIG = "MAIL_PIPELINE_CONFIG"
KEY = "NYLAS_API_KEY"
_MARKS = ("workspace.yaml", "dagster.yaml")
_CHECKOUT = Path(__file__).resolve().parents[1]


def find_project() -> Path | None:
    """Return the project's folder: the current one or one above it, else the checkout this is installed from.

    None where there is neither.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, _CHECKOUT):
        if all((folder / mark).is_file() for mark in _MARKS):
            return folder
    return None


def environment(project: Path | None) -> dict[str, str]:
    """Return the environment with what the project's `.env` adds; what the environment says itself wins.

    An empty variable wins as well: so a command can be told not to take what stands in `.env`. A relative
    folder or file that `.env` names counts from there. Raises StopRun where it cannot be read.
    """
    path = (project or Path.cwd()) / ".env"
    if not path.is_file():
        return dict(os.environ)
    try:
        values = dotenv_values(path)
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, type(error).__name__) from None
    told = {name: value for name, value in values.items() if value is not None}
    if any("\0" in name + value or "=" in name for name, value in told.items()):
        raise _unreadable(path, "a name or value that no variable can have")
    for name in (DATA, CONFIG):
        if (value := told.get(name, "").strip()) and "://" not in value:
            told[name] = str(path.parent / Path(value).expanduser())
    return {**told, **os.environ}


def _unreadable(path: Path, why: str) -> StopRun:
    return StopRun(
        f"{path} cannot be read ({why})", next_step="It should be UTF-8 text with one NAME=value a line."
    )


def data_folder(project: Path | None, env: dict[str, str]) -> Path:
    """Return the data folder, absolute: that of the environment, else `data` in the project."""
    chosen = env.get(DATA, "").strip()
    return (Path(chosen) if chosen else (project or Path.cwd()) / "data").resolve()


def demo_folder(data: Path) -> Path:
    """Return where simulated mail is kept, so that it never mixes with real mail."""
    return data / "demo"


def reading_folder(data: Path, *, has_key: bool) -> Path:
    """Return the folder whose lake people mean: without a key the demo's, where that is the only one."""
    demo = demo_folder(data)
    only_demo = catalog_path(demo).exists() and not catalog_path(data).exists()
    return demo if only_demo and not has_key else data


def folder_to_read() -> Path:
    """Return the data folder to read where nobody named one. Raises StopRun for an unreadable `.env`."""
    project = find_project()
    env = environment(project)
    return reading_folder(data_folder(project, env), has_key=bool(env.get(KEY, "").strip()))
