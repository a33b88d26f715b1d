"""Options that several commands share."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

AS_JSON = "mail_pipeline.json"
"""Key in `click.Context.meta` that is there when the output is for a machine."""
DEBUG = "mail_pipeline.debug"
"""Key in `click.Context.meta` that is there when tracebacks are wanted."""


class Moment(click.DateTime):
    """A date, maybe with a time of day; UTC where it gives no offset."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time, with its offset."""
        moment: datetime = super().convert(value, param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


DATE = Moment(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
DATE_WITH_OFFSET = Moment([*DATE.formats, "%Y-%m-%dT%H:%M:%S%z"])

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _note_json(ctx: click.Context, _parameter: click.Parameter, chosen: bool) -> bool:
    if chosen:
        ctx.meta[AS_JSON] = True
    return chosen


def _note_debug(ctx: click.Context, _parameter: click.Parameter, chosen: bool) -> None:
    if chosen:
        ctx.meta[DEBUG] = True
    logging.basicConfig(level=logging.INFO if chosen else logging.ERROR, format="%(levelname)s %(message)s")


def debug_option(command: _Command) -> _Command:
    """Add --debug: tracebacks and the log on standard error."""
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_note_debug,
        help="Show tracebacks and the log.",
    )(command)


def json_option(command: _Command) -> _Command:
    """Add --json, passed on as `as_json`."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        is_eager=True,
        callback=_note_json,
        help="Print one JSON object; progress stays on standard error.",
    )(command)


def address_options(port: int) -> Callable[[_Command], _Command]:
    """Add --host and --port, this port by default."""

    def add(command: _Command) -> _Command:
        with_port = click.option(
            "--port",
            type=click.IntRange(0, 65535),
            default=port,
            show_default=True,
            help="Port to listen on.",
        )(command)
        return click.option(
            "--host", default="127.0.0.1", show_default=True, help="Address of this machine to listen on."
        )(with_port)

    return add
