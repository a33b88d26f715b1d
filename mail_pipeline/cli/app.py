"""The group of commands, and what becomes of their errors."""

import importlib
import json
import os
import traceback
from typing import IO, Any

import click

from mail_pipeline.cli.options import AS_JSON, DEBUG
from mail_pipeline.errors import MailPipelineError

_COMMANDS = (
    "demo",
    "up",
    "plan",
    "backfill",
    "mirror",
    "marts",
    "apply",
    "reconcile",
    "verify",
    "attachments",
    "status",
    "sql",
    "search",
    "receive",
    "webhook",
    "upkeep",
    "forget",
    "simulate",
    "doctor",
)


class Failure(click.ClickException):
    """An error as people see it: what is wrong, then the next step; exit code 1."""

    exit_code = 1

    def __init__(self, message: str, next_step: str, *, as_json: bool) -> None:
        """Take the two sentences, and whether a machine is to read them too."""
        super().__init__(message)
        self._next_step = next_step
        self._as_json = as_json

    def show(self, file: IO[Any] | None = None) -> None:
        """Print to standard error, and with --json an object to standard output."""
        click.echo(f"Error: {self.message.rstrip('.')}.", file, err=True)
        if self._next_step:
            click.echo(f"Next: {self._next_step}", file, err=True)
        if self._as_json:
            click.echo(json.dumps({"ok": False, "error": self.message, "next_step": self._next_step}))


class _Commands(click.Group):
    """Imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(f"mail_pipeline.cli.{cmd_name}").command
        return command if isinstance(command, click.Command) else None

    def invoke(self, ctx: click.Context) -> Any:
        # Else numpy starts threads for algebra that nobody here does, and they spin: 0.1 CPU seconds in every
        # command, and in every process of Dagster that one starts.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except MailPipelineError as error:
            _trace(ctx)
            raise Failure(error.message, error.next_step, as_json=AS_JSON in ctx.meta) from None
        except BrokenPipeError:
            raise
        except KeyboardInterrupt:
            raise _interrupted(ctx) from None
        except Exception as error:
            if isinstance(error.__cause__, KeyboardInterrupt):
                # DuckDB says that its query was interrupted.
                raise _interrupted(ctx) from None
            _trace(ctx)
            # Its text may hold a value from somebody's mail.
            kind = type(error)
            raise Failure(
                f"Unexpected {kind.__module__.lstrip('_')}.{kind.__qualname__}",
                "Run it again with --debug to see where, and please report it.",
                as_json=AS_JSON in ctx.meta,
            ) from None


def _interrupted(ctx: click.Context) -> Failure:
    next_step = "Start it again: it goes on from what is stored."
    return Failure("Interrupted", next_step, as_json=AS_JSON in ctx.meta)


def _trace(ctx: click.Context) -> None:
    if DEBUG in ctx.meta:
        click.echo(traceback.format_exc(), err=True)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 something failed and the output says what, 2 bad usage. "
    "With --json, standard output holds JSON and nothing else.",
)
@click.version_option(package_name="mail-pipeline", prog_name="mail-pipeline")
def main() -> None:
    """Mailboxes connected through Nylas, as tables you can query.

    Settings come from the environment and from `.env` in the project; the environment wins.
    """
