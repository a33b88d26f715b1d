"""A real receiver process, and a sender of signed notifications."""

import gzip
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from mail_pipeline.settings import Settings

SECRET = "secret-of-the-tests"
OWN = ("NYLAS_", "MAIL_PIPELINE_", "DAGSTER_")
SECONDS = 30


def notification(number: int = 0, size: int = 200) -> bytes:
    envelope = {"specversion": "1.0", "type": "message.created", "id": f"n-{number}", "padding": ""}
    envelope["padding"] = "x" * (size - len(json.dumps(envelope)))
    return json.dumps(envelope).encode()


def sign(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@dataclass
class Receiver:
    """A receiver that runs; `session` keeps its connection."""

    process: subprocess.Popen[str]
    url: str
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def webhook(self) -> str:
        return f"{self.url}/webhooks/nylas"

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def post(self, body: bytes, *, signature: str | bytes | None = "right", **headers: str) -> int:
        """Post a body as sent and return the status."""
        named: dict[str, str | bytes] = {name.replace("_", "-"): value for name, value in headers.items()}
        if signature is not None:
            named["X-Nylas-Signature"] = sign(body) if signature == "right" else signature
        return self.session.post(self.webhook, data=body, headers=named, timeout=SECONDS).status_code

    def post_compressed(self, body: bytes) -> int:
        return self.post(gzip.compress(body), content_encoding="gzip")

    def health(self) -> tuple[int, Any]:
        answer = self.session.get(f"{self.url}/healthz", timeout=SECONDS)
        return answer.status_code, answer.json()["reason"]

    def metric(self, name: str) -> float:
        """Return one number of /metrics, such as `refused_total{reason="stopping"}`."""
        lines = self.session.get(f"{self.url}/metrics", timeout=SECONDS).text.splitlines()
        [value] = [
            line.rpartition(" ")[2] for line in lines if line.startswith(f"mail_pipeline_receiver_{name} ")
        ]
        return float(value)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(SECONDS)

    def stop(self) -> tuple[int, str]:
        """Ask it to stop; return its exit code and what it said on standard error."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, said


def start(settings: Settings, *, secrets: str = SECRET) -> subprocess.Popen[str]:
    """Start `mail-pipeline receive` on a free port."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    own = {
        "MAIL_PIPELINE_DATA": str(settings.data),
        "MAIL_PIPELINE_DATABASE_URL": settings.database_url or "",
        "NYLAS_WEBHOOK_SECRET": secrets,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "mail_pipeline.cli", "receive", "--port", "0", "--json"],
        cwd=Path(__file__).parent,
        env={**outside, **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def receiving(settings: Settings, *, secrets: str = SECRET) -> Iterator[Receiver]:
    """Run a receiver; whatever still runs is killed at the end."""
    with start(settings, secrets=secrets) as process:
        try:
            assert process.stdout is not None
            receiver = Receiver(process, json.loads(process.stdout.readline())["url"])
            with receiver.session:
                receiver.session.trust_env = False
                yield receiver
        finally:
            process.kill()


def ends_at_once(settings: Settings) -> tuple[int, str]:
    """Run a receiver that cannot start; return its exit code and what it said on standard error."""
    with start(settings) as process:
        _, said = process.communicate(timeout=SECONDS)
    return process.returncode, said
