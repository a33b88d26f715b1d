"""The services a command keeps running beside itself: simulator, receiver, Dagster's UI with its daemon."""

import json
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests
from filelock import FileLock, Timeout
from rich.console import Console

from mail_pipeline.cli.children import Children, end_orphans, note_child
from mail_pipeline.cli.terminal import notes
from mail_pipeline.cli.workplace import Workplace
from mail_pipeline.disk import disk_errors
from mail_pipeline.errors import StopRun
from mail_pipeline.nylas import NylasClient

DEFAULT_PORT = 3000
RECEIVER_PORT = 8787
CHANGES_PER_SECOND = 0.3
"""How lively simulated mailboxes are that somebody watches."""
_PORTS_TRIED = 50
_ASK_SECONDS = 0.5


class UiRunsAlready(StopRun):
    """Another process runs the UI of this data folder."""

    def __init__(self, url: str) -> None:
        """Take the address of that UI."""
        super().__init__(
            f"The Dagster UI of this data folder runs already: {url}",
            next_step="Open it, or end the other `mail-pipeline up` or `demo` first.",
        )


def start_simulator(
    children: Children, place: Workplace, *, seed: int = 0, changes_per_second: float = 0.0
) -> Workplace:
    """Start a simulator with the demo's mailboxes; return the place that uses it.

    Raises StopRun where it does not start.
    """
    secret = secrets.token_urlsafe(16)
    options = [f"--seed={seed}", f"--live={changes_per_second}", f"--webhook-secret={secret}"]
    # In a process of its own: beside the engine it would take half of this one's time.
    child = children.start(
        "The simulator",
        ["mail_pipeline.cli", "simulate", "--child", "--port=0", *options],
        cwd=Path.cwd(),
        data=place.for_simulation().data,
        capture=True,
    )
    uri, key = child.line(), child.line()
    if not key:
        children.wait()
    return place.for_simulation(uri.partition("=")[2], key.partition("=")[2], secret)


def start_receiver(children: Children, place: Workplace, host: str, port: int) -> str:
    """Start a receiver for the place that was entered; return the address that webhooks post to.

    Raises StopRun where it does not start.
    """
    child = children.start(
        "The receiver",
        ["mail_pipeline.cli", "receive", "--child", "--json", f"--host={host}", f"--port={port}"],
        cwd=Path.cwd(),
        data=place.data,
        capture=True,
    )
    line = child.line()
    if not line:
        children.wait()
    said = json.loads(line)
    if not said["ok"]:
        raise StopRun(said["error"], next_step=said["next_step"])
    return str(said["webhook"])


def subscribe(place: Workplace, address: str) -> None:
    """Have the place's simulator, which started without webhooks, post to this address."""
    settings = place.settings
    with NylasClient(settings.api_key, settings.api_uri) as client:
        client.create_webhook(address, description="mail_pipeline")


@contextmanager
def running_ui(children: Children, home: Path, host: str, port: int) -> Iterator[str]:
    """Run Dagster's webserver and daemon on a DAGSTER_HOME, on this port or the next free one.

    Yields the address at once and says on standard error when it answers. One whose command was killed is
    ended first. Raises UiRunsAlready where another process does it.
    """
    lock = FileLock(home / "ui.lock")
    address = home / "ui.address"
    note = home / "ui.process"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UiRunsAlready(address.read_text() if address.exists() else "it is starting") from None
    with ExitStack() as stack:
        stack.callback(lock.release)
        stack.callback(address.unlink, missing_ok=True)
        end_orphans(note)
        chosen = stack.enter_context(claimed_port(host, port))
        url = f"http://{host}:{chosen}"
        with disk_errors(home.parent):
            address.write_text(url)
        # Not from the project folder: `dagster dev` reads a `.env` where it starts, and lets it win over the
        # environment.
        dagster = children.start(
            "Dagster",
            ["dagster", "dev", "-w", "workspace.yaml", "-h", host, "-p", str(chosen)],
            cwd=home,
            data=home.parent,
        )
        stack.callback(note.unlink, missing_ok=True)
        stack.callback(children.stop, dagster)
        with disk_errors(home.parent):
            note_child(dagster, note)
        # A duplicate, since Dagster redirects standard error while a run goes on in this process.
        screen = os.fdopen(os.dup(2), "w")
        threading.Thread(target=_announce, args=(url, notes(screen)), name="announce", daemon=True).start()
        yield url


def _announce(url: str, console: Console) -> None:
    with requests.Session() as session:
        # A proxy has no business with an address of this machine.
        session.trust_env = False
        while not _answers(session, url):
            time.sleep(_ASK_SECONDS)
    console.print(f"The Dagster UI is up: {url}")


def _answers(session: requests.Session, url: str) -> bool:
    try:
        return session.get(f"{url}/server_info", timeout=5).ok
    except requests.RequestException:
        return False


@contextmanager
def claimed_port(host: str, wanted: int) -> Iterator[int]:
    """Choose a port that nothing listens on: this one, one of the next, or any.

    Until the block ends no other command of this user chooses it: what is to listen there takes seconds to
    start. Raises StopRun where nothing can listen on `host`.
    """
    problem = ""
    for port in (*range(wanted, min(wanted + _PORTS_TRIED, 65_536)), 0):
        with ExitStack() as stack:
            try:
                with socket.create_server((host, port)) as listener:
                    chosen = int(listener.getsockname()[1])
                    claim = f"mail-pipeline-{os.getuid()}-{chosen}.lock"
                    stack.enter_context(FileLock(Path(tempfile.gettempdir()) / claim, timeout=0))
            except OSError as error:
                problem = error.strerror or type(error).__name__
                continue
            yield chosen
            return
    raise StopRun(
        f"Nothing can listen on {host} ({problem})",
        next_step="Choose an address of this machine with --host.",
    )
