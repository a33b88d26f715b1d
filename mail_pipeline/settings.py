"""What the environment says: one frozen object, read once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mail_pipeline.errors import StopRun

US_REGION = "https://api.us.nylas.com"
CONFIG_FILE = "mail_pipeline.toml"


@dataclass(frozen=True)
class Settings:
    """Everything a run is told from outside; `from_env` reads it and says what is wrong with it."""

    api_key: str = field(default="", repr=False)
    api_uri: str = US_REGION
    data: Path = Path("data")
    database_url: str | None = field(default=None, repr=False)
    """Where notifications land; None means a SQLite file in the data folder."""
    attachments: str | None = None
    """Where the bytes of attachments go: a folder or `s3://bucket/prefix`; None: into the data folder."""
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    config: Path | None = None
    """The file that says what is mirrored; None: everything."""
    hash_key: bytes = field(default=b"", repr=False)
    """With which addresses are hashed where that file asks for it."""
    keep_notifications_days: int = 30
    """How long a notification stays in the landing table once it is applied."""
    workers: int = 8
    google_units_per_second: float = 150.0
    min_page_interval: float = 0.2
    patience: float = 900.0

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Settings":
        """Read the environment variables of VARIABLES.

        Unset and empty are the same; white space around a value is left out. Raises StopRun naming the
        variable and what it should hold.
        """
        env = {each.name: env.get(each.name, "").strip() for each in VARIABLES}
        data = env["MAIL_PIPELINE_DATA"] or "data"
        if "://" in data:
            raise StopRun(
                "MAIL_PIPELINE_DATA is an address: expected a local folder, the only kind supported so far",
                next_step="Set it to a folder on this machine, or unset it.",
            )
        database_url = env["MAIL_PIPELINE_DATABASE_URL"] or None
        if database_url and not database_url.startswith("postgresql://"):
            raise StopRun(
                "MAIL_PIPELINE_DATABASE_URL is not an address of Postgres: expected postgresql://…",
                next_step="Mend it, or unset it to land notifications in a SQLite file of the data folder.",
            )
        uri = (env["NYLAS_API_URI"] or US_REGION).rstrip("/")
        if not uri.startswith(("http://", "https://")):
            raise StopRun(
                "NYLAS_API_URI is not a web address: expected http://… or https://…",
                next_step=f"Set it to your region's address, such as {US_REGION}, or unset it.",
            )
        attachments = env["MAIL_PIPELINE_ATTACHMENTS"] or None
        if attachments and not _is_place(attachments):
            raise StopRun(
                "MAIL_PIPELINE_ATTACHMENTS is neither the absolute path of a folder nor s3://bucket/prefix "
                "without credentials",
                next_step="Mend it, or unset it to keep attachments in the data folder. Credentials of S3 "
                "belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or where AWS' tools look for them.",
            )
        return cls(
            api_key=env["NYLAS_API_KEY"],
            api_uri=uri,
            data=Path(data),
            database_url=database_url,
            config=_config(env),
            hash_key=env["MAIL_PIPELINE_HASH_KEY"].encode(),
            attachments=attachments,
            webhook_secrets=tuple(filter(None, map(str.strip, env["NYLAS_WEBHOOK_SECRET"].split(",")))),
            keep_notifications_days=int(
                _number(env, "MAIL_PIPELINE_KEEP_NOTIFICATIONS_DAYS", 30, least=1, whole=True)
            ),
            workers=int(_number(env, "MAIL_PIPELINE_WORKERS", 8, least=1, whole=True)),
            google_units_per_second=_number(env, "MAIL_PIPELINE_GOOGLE_UNITS_PER_SECOND", 150.0, least=1),
            min_page_interval=_number(env, "MAIL_PIPELINE_MIN_PAGE_INTERVAL", 0.2, least=0),
            patience=_number(env, "MAIL_PIPELINE_PATIENCE", 900.0, least=0),
        )

    def require_key(self) -> None:
        """Raise StopRun with the next step where no API key is set."""
        if not self.api_key:
            raise StopRun(
                "NYLAS_API_KEY is not set",
                next_step="Put NYLAS_API_KEY=… (Nylas dashboard, API Keys) into the environment or into "
                "`.env`, or try `mail-pipeline demo`, which needs no account.",
            )


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: the field it sets, and what people are told of it.

    `default` says in words what the field's own default does not show.
    """

    name: str
    field: str
    description: str
    default: str = ""


VARIABLES = (
    Variable("NYLAS_API_KEY", "api_key", "Key of the Nylas application. Needed for real mail."),
    Variable(
        "NYLAS_API_URI",
        "api_uri",
        "Address of the region the key was made in; https://api.eu.nylas.com for Europe.",
    ),
    Variable(
        "NYLAS_WEBHOOK_SECRET",
        "webhook_secrets",
        "The webhook's secret, for the receiver; several with commas between them while it is rotated.",
    ),
    Variable(
        "MAIL_PIPELINE_DATA",
        "data",
        "Folder for the lake, what has landed, the leases and Dagster's history. A local folder.",
    ),
    Variable(
        "MAIL_PIPELINE_CONFIG",
        "config",
        "The file that says what is mirrored: [configuration](configuration.md). None means everything.",
        default="`mail_pipeline.toml`, if it is there",
    ),
    Variable(
        "MAIL_PIPELINE_HASH_KEY",
        "hash_key",
        "Key with which addresses are hashed, where that file asks for it.",
    ),
    Variable(
        "MAIL_PIPELINE_DATABASE_URL",
        "database_url",
        "Where notifications land: postgresql://… (`pip install mail-pipeline[postgres]`).",
        default="a SQLite file in the data folder",
    ),
    Variable(
        "MAIL_PIPELINE_ATTACHMENTS",
        "attachments",
        "Where the bytes of attachments go: absolute path of a folder, or s3://bucket/prefix, for one data "
        "folder's alone. Credentials as for AWS' own tools; `?region=` or "
        "`?endpoint_override=host:port&scheme=http` may stand behind it.",
        default="`attachments` in the data folder",
    ),
    Variable(
        "MAIL_PIPELINE_KEEP_NOTIFICATIONS_DAYS",
        "keep_notifications_days",
        "Days for which a landed notification is kept once it is applied.",
    ),
    Variable("MAIL_PIPELINE_WORKERS", "workers", "Mailboxes worked at once in one run."),
    Variable(
        "MAIL_PIPELINE_GOOGLE_UNITS_PER_SECOND",
        "google_units_per_second",
        "Quota units spent per Google mailbox and second. Google allows 250, or 100 in Cloud projects made "
        "since May 2026.",
    ),
    Variable(
        "MAIL_PIPELINE_MIN_PAGE_INTERVAL",
        "min_page_interval",
        "Least seconds between two pages of a mailbox.",
    ),
    Variable(
        "MAIL_PIPELINE_PATIENCE",
        "patience",
        "Seconds for which one request is tried again before its mailbox is paused.",
    ),
)
"""Every variable that `from_env` reads; docs/settings.md is made of these and of those of the marts."""


def _config(env: Mapping[str, str]) -> Path | None:
    named = env["MAIL_PIPELINE_CONFIG"]
    # Dagster's processes run in the project folder.
    return Path(named) if named else Path(CONFIG_FILE) if Path(CONFIG_FILE).is_file() else None


def _is_place(text: str) -> bool:
    if "://" not in text:
        return Path(text).is_absolute()
    bucket = text.removeprefix("s3://").partition("/")[0].partition("?")[0]
    return text.startswith("s3://") and bool(bucket) and "@" not in text


def _number(env: Mapping[str, str], name: str, default: float, *, least: float, whole: bool = False) -> float:
    text = env[name]
    if not text:
        return default
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = -1.0
    if not least <= value < float("inf"):
        kind = "a whole number" if whole else "a number"
        raise StopRun(
            f"{name} is {text!r}: expected {kind} of at least {least:g}", next_step="Mend or unset it."
        )
    return value
