"""Makes the reference pages from the code: `python -m docs.generate`, or `make docs`.

What they say stands once, where it is used: columns in the lake's schema, options at their commands,
variables in the settings, assets and all that runs them in the definitions.
"""

import dataclasses
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import dagster as dg

from mail_pipeline.checks import CHECKS
from mail_pipeline.cli import main as mail_pipeline
from mail_pipeline.definitions import defs
from mail_pipeline.jobs import JOBS
from mail_pipeline.lake.schema import TABLES
from mail_pipeline.lake.table import Column, Table
from mail_pipeline.schedules import SCHEDULES
from mail_pipeline.sensors import SENSORS
from mail_pipeline.settings import VARIABLES, Settings

FOLDER = Path(__file__).parent
_WIDTH = 112
_NOTE = "<!-- Made from the code by `make docs`; a change belongs there. -->"
_GONE_TOO = "all_"
_EVERYWHERE = {"--debug", "--help"}


def tables() -> str:
    """Return the page of every table and view: what a row is, and each column."""
    shown = sorted(name for name in TABLES if not _is_behind_a_view(name))
    parts = [
        "# Tables",
        _paragraph(
            "Everything the lake holds. `mail-pipeline sql`, `mail_pipeline.connect()` and any DuckDB read "
            "it: [asking](asking.md). Times are UTC, ids are compared byte for byte, and what begins with "
            "`all_` holds also what is gone. The same descriptions stand in the catalog and the UI."
        ),
        _code("sql", _COMMENTS),
        _table(
            ("name", "", "holds"),
            [(f"[`{name}`](#{name})", _kind(TABLES[name]), TABLES[name].description) for name in shown],
        ),
    ]
    for name in shown:
        parts += _described(TABLES[name])
    return _page(parts)


_COMMENTS = """SELECT column_name, comment FROM duckdb_columns()
WHERE database_name = 'lake' AND table_name = 'all_messages';"""


def _is_behind_a_view(name: str) -> bool:
    view = TABLES.get(name.removeprefix(_GONE_TOO))
    return name.startswith(_GONE_TOO) and view is not None and view.select is not None


def _kind(table: Table) -> str:
    return "table" if table.select is None else "view"


def _described(table: Table) -> Iterator[str]:
    yield f"## {table.name}"
    yield f"{table.description} A {_kind(table)}."
    yield _columns(table.columns)
    behind = TABLES.get(_GONE_TOO + table.name)
    if behind is not None and _is_behind_a_view(behind.name):
        known = {column.name for column in table.columns}
        yield f"The table `{behind.name}` has them all, gone ones too, and:"
        yield _columns([column for column in behind.columns if column.name not in known])


def _columns(columns: Iterable[Column]) -> str:
    return _table(
        ("column", "type", ""),
        [(f"`{column.name}`", f"`{column.type}`", column.description) for column in columns],
    )


def commands() -> str:
    """Return the page of every command: what it does, its arguments and options."""
    found = list(_commands(mail_pipeline, click.Context(mail_pipeline, info_name="mail-pipeline")))
    parts = [
        "# Commands",
        _paragraph(
            "After `make install` the command is `.venv/bin/mail-pipeline`. "
            f"{' '.join((mail_pipeline.help or '').split())} Every command takes `--debug` (tracebacks and "
            f"the log) and `--help`."
        ),
        _paragraph(mail_pipeline.epilog or ""),
        _table(
            ("command", "does"),
            [
                (f"[`{name}`](#{_anchor(context.command_path)})", context.command.get_short_help_str(_WIDTH))
                for name, context in found
            ],
        ),
    ]
    for _, context in found:
        parts += _explained(context)
    return _page(parts)


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
    yield _code("text", usage)
    for paragraph in inspect.cleandoc(context.command.help or "").split("\n\n"):
        first, _, rest = paragraph.partition("\n")
        yield _code("sh", rest) if first == "\b" else _paragraph(paragraph)
    records = [
        record
        for parameter in context.command.get_params(context)
        if _EVERYWHERE.isdisjoint(parameter.opts) and (record := parameter.get_help_record(context))
    ]
    if records:
        yield _table(("option", ""), [(f"`{names}`", text) for names, text in records])


def settings() -> str:
    """Return the page of every environment variable."""
    defaults = {field.name: field.default for field in dataclasses.fields(Settings)}
    return _page(
        [
            "# Settings",
            _paragraph(
                "Settings are environment variables, or lines of `.env` in the project folder; the "
                "environment wins, and what is unset or empty has its default. What is wrong with one is "
                "said by every command, with its name and what was expected, before anything is done. A "
                "relative folder counts from the current folder, and one in `.env` from that file's."
            ),
            _table(
                ("variable", "default", ""),
                [
                    (f"`{variable.name}`", _default(defaults[variable.field]), variable.description)
                    for variable in VARIABLES
                ],
            ),
            _paragraph(
                "How Dagster runs (runs at once, retries, how long its history is kept) is set in "
                "`dagster.yaml`, of which the commands keep a copy in the data folder. No setting of ours is "
                "part of a run's configuration, so that no secret can be."
            ),
        ]
    )


def _default(value: object) -> str:
    if value is None or value in ("", ()):
        return ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def assets() -> str:
    """Return the page of every asset, check, job, schedule and sensor."""
    specs = sorted(defs.resolve_all_asset_specs(), key=lambda spec: (_group(spec), _name(spec)))
    jobs = {job.name: job for job in defs.resolve_all_job_defs() if not job.name.startswith("__")}
    parts = [
        "# Assets, checks, jobs, schedules, sensors",
        _paragraph(
            "What the Dagster UI shows. A partition of `mailboxes` is a mailbox, one of `grants` a connected "
            "account. Schedules and sensors are on from the start, and switched off under *Automation*."
        ),
        "## Assets",
        _table(
            ("asset", "group", "partitions", "made from"),
            [
                (
                    f"[`{_name(spec)}`](#{_name(spec)})",
                    spec.group_name or "",
                    getattr(spec.partitions_def, "name", None) or "",
                    _listed(dep.asset_key.to_user_string() for dep in spec.deps),
                )
                for spec in specs
            ],
        ),
    ]
    for spec in specs:
        parts += [f"### {_name(spec)}", _paragraph(spec.description or ""), *_table_of(spec)]
    parts += ["## What a run can be told", *_configurations()]
    parts += [
        "## Checks",
        _paragraph(
            "They change nothing. [Operations](operations.md#red-checks) says what to do where one is red."
        ),
        _table(
            ("check", "of", "passes when"),
            [
                (f"`{check.name}`", f"`{check.asset_key.to_user_string()}`", check.description or "")
                for definition in CHECKS
                for check in definition.check_specs
            ],
        ),
        "## Jobs",
        _table(
            ("job", "", "assets"),
            [(f"`{job.name}`", jobs[job.name].description or "", _selected(job)) for job in JOBS],
        ),
        "## Schedules",
        _paragraph("Times are UTC, in the words of cron."),
        _table(
            ("schedule", "when", "job", ""),
            [
                (f"`{each.name}`", f"`{each.cron_schedule}`", f"`{each.job_name}`", each.description or "")
                for each in SCHEDULES
            ],
        ),
        "## Sensors",
        _table(
            ("sensor", "every", "job", ""),
            [
                (
                    f"`{each.name}`",
                    f"{each.minimum_interval_seconds} s",
                    _listed(target.job_name for target in each.targets),
                    each.description or "",
                )
                for each in SENSORS
            ],
        ),
    ]
    return _page(parts)


_GROUPS = ("accounts", "mail", "directory", "live", "marts")
"""In the order in which data goes through them."""


def _group(spec: dg.AssetSpec) -> int:
    return _GROUPS.index(spec.group_name) if spec.group_name in _GROUPS else len(_GROUPS)


def _name(spec: dg.AssetSpec) -> str:
    return spec.key.to_user_string()


def _table_of(spec: dg.AssetSpec) -> Iterator[str]:
    table = spec.metadata.get("dagster/table_name")
    if table in TABLES:
        shown = table.removeprefix(_GONE_TOO) if _is_behind_a_view(table) else table
        yield f"Table: [`{table}`](tables.md#{shown})."


def _configurations() -> Iterator[str]:
    """Yield the configuration of runs, once for all assets that have the same."""
    found: dict[tuple[str, ...], list[str]] = {}
    fields: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for definition in defs.resolve_asset_graph().assets_defs:
        if not definition.is_executable or definition.check_keys:
            continue
        schema = definition.op.config_schema.as_field().config_type
        told = getattr(schema, "fields", None)
        if told:
            found.setdefault(tuple(told), []).append(definition.op.name)
            fields[tuple(told)] = told
    for names, ops in sorted(found.items(), key=lambda item: sorted(item[1])):
        yield f"{_listed(ops)}:"
        yield _table(
            ("field", ""), [(f"`{name}`", fields[names][name].description or "") for name in sorted(names)]
        )


def _selected(job: Any) -> str:
    selection = getattr(job, "selection", None)
    if selection is None:
        return ""
    return _listed(key.to_user_string() for key in selection.resolve(defs.resolve_asset_graph()))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _page(parts: Sequence[str]) -> str:
    return "\n\n".join((_NOTE, *parts)) + "\n"


def _paragraph(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), _WIDTH, break_long_words=False, break_on_hyphens=False)


def _code(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


PAGES: Mapping[str, Callable[[], str]] = {
    "tables.md": tables,
    "commands.md": commands,
    "settings.md": settings,
    "assets.md": assets,
}
"""The pages that are made, by file name."""


def main() -> None:
    """Write all pages."""
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
