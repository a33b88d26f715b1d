"""The page of every command."""

import inspect
from collections.abc import Iterator

import click

from docs.reference.blocks import WIDTH, code, page, paragraph, table
from mail_pipeline.cli import main as mail_pipeline

_EVERYWHERE = {"--debug", "--help"}


def commands() -> str:
    """Return the page of every command: what it does, its arguments and options."""
    found = list(_commands(mail_pipeline, click.Context(mail_pipeline, info_name="mail-pipeline")))
    parts = [
        "# Commands",
        paragraph(
            "After `make install` the command is `.venv/bin/mail-pipeline`. "
            f"{' '.join((mail_pipeline.help or '').split())} Every command takes `--debug` (tracebacks and "
            f"the log) and `--help`."
        ),
        paragraph(mail_pipeline.epilog or ""),
        table(
            ("command", "does"),
            [
                (f"[`{name}`](#{_anchor(context.command_path)})", context.command.get_short_help_str(WIDTH))
                for name, context in found
            ],
        ),
    ]
    for _, context in found:
        parts += _explained(context)
    return page(parts)


def _commands(
    group: click.Group, above: click.Context, path: str = ""
) -> Iterator[tuple[str, click.Context]]:
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        assert command is not None
        context = click.Context(command, above, info_name=name)
        yield f"{path}{name}", context
        if isinstance(command, click.Group):
            yield from _commands(command, context, f"{path}{name} ")


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _explained(context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}"
    usage = " ".join([context.command_path, *context.command.collect_usage_pieces(context)])
    yield code("text", usage)
    for part in inspect.cleandoc(context.command.help or "").split("\n\n"):
        first, _, rest = part.partition("\n")
        yield code("sh", rest) if first == "\b" else paragraph(part)
    records = [
        record
        for parameter in context.command.get_params(context)
        if _EVERYWHERE.isdisjoint(parameter.opts) and (record := parameter.get_help_record(context))
    ]
    if records:
        yield table(("option", ""), [(f"`{names}`", text) for names, text in records])
