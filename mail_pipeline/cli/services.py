"""The services a command keeps running beside itself: the simulator, and Dagster's UI with its daemon."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from filelock import FileLock, Timeout
from rich.console import Console

from mail_pipeline.cli.children import Children
from mail_pipeline.cli.workplace import Workplace
from mail_pipeline.errors import StopRun

DEFAULT_PORT = 3000
_PORTS_TRIED = 50
_ASK_SECONDS = 0.5


def start_simulator(children: Children, place: Workplace, *, seed: int = 0) -> Workplace:
    """Start a simulator with the demo's mailboxes; return the place that uses it."""
    # In a process of its own: beside the engine it would take half of this one's time.
    child = children.start(
        "The simulator",
        ["mail_pipeline.cli", "simulate", "--port", "0", "--seed", str(seed), "--quiet"],
        cwd=Path.cwd(),
        log=place.settings.data / "logs" / "simulator.log",
        capture=True,
    )
    uri, key = child.line(), child.line()
    if not key:
        children.wait()
    return place.simulated(uri.partition("=")[2], key.partition("=")[2])


class DagsterUi:
    """Dagster's webserver and daemon, as `dagster dev` starts them."""

    def __init__(self, children: Children, home: Path, host: str, port: int) -> None:
        """Start on this port, or on the next free one."""
        chosen = _free_port(host, port)
        self.url = f"http://{host}:{chosen}"
        # Not from the project folder: `dagster dev` reads a `.env` where it starts, and lets it win over the
        # environment.
        children.start(
            "Dagster",
            ["dagster", "dev", "-w", "workspace.yaml", "-h", host, "-p", str(chosen)],
            cwd=home,
            log=home.parent / "logs" / "dagster.log",
        )

    @property
    def answers(self) -> bool:
        """Tell whether the UI can be opened."""
        with requests.Session() as session:
            session.trust_env = False
            try:
                return session.get(f"{self.url}/server_info", timeout=5).ok
            except requests.RequestException:
                return False

    def announce(self, console: Console) -> None:
        """Say, from a thread of its own, when the UI can be opened."""

        def watch() -> None:
            while not self.answers:
                time.sleep(_ASK_SECONDS)
            console.print(f"The Dagster UI is up: {self.url}")

        threading.Thread(target=watch, name="announce", daemon=True).start()


@contextmanager
def only_ui(home: Path) -> Iterator[str | None]:
    """Be the only one who runs the UI of a DAGSTER_HOME; yield the address of the one that runs, if any.

    The block that got None should call `note_address`.
    """
    lock = FileLock(home / "ui.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield _address_file(home).read_text() if _address_file(home).exists() else "an address it knows"
        return
    try:
        yield None
    finally:
        _address_file(home).unlink(missing_ok=True)
        lock.release()


def note_address(home: Path, url: str) -> None:
    """Write down where the UI of a DAGSTER_HOME is."""
    _address_file(home).write_text(url)


def _address_file(home: Path) -> Path:
    return home / "ui.address"


def _free_port(host: str, wanted: int) -> int:
    for port in (*range(wanted, min(wanted + _PORTS_TRIED, 65_536)), 0):
        try:
            with socket.create_server((host, port)) as listener:
                return int(listener.getsockname()[1])
        except OSError as error:
            problem = error
    raise StopRun(
        f"Nothing can listen on {host} ({problem.strerror})",
        next_step="Choose an address of this machine with --host.",
    )
