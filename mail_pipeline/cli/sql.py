"""`mail-pipeline sql`: a question to the lake."""

import csv
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import click
import duckdb

from mail_pipeline.asking import connect
from mail_pipeline.cli.options import AS_JSON, debug_option
from mail_pipeline.cli.terminal import as_json
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.errors import StopRun

_BATCH = 1_000
_TABLE_ROWS = 100
_PLAIN_WIDTH = 240


@click.command("sql", short_help="Ask the tables a question in SQL.")
@click.argument("query")
@click.option(
    "--format",
    "output",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help=f"A table shows the first and last of more than {_TABLE_ROWS} rows, the others give all.",
)
@click.option("--json", "output", flag_value="json", help="The same as --format json.")
@debug_option
@click.pass_context
def command(ctx: click.Context, query: str, output: str) -> None:
    """Answer one read-only QUERY in SQL (DuckDB's); `-` reads it from standard input.

    \b
    mail-pipeline sql "SHOW TABLES"
    mail-pipeline sql "DESCRIBE messages"
    mail-pipeline sql "SELECT date_trunc('month', date) AS month, count(*) FROM messages GROUP BY 1"
    """
    if output == "json":
        ctx.meta[AS_JSON] = True
    if query == "-":
        query = sys.stdin.read()
    with connect(find_workplace().for_reading().settings.data) as connection:
        try:
            relation = connection.sql(query)
            if relation is not None:
                _WRITERS[output](relation)
            elif output == "json":
                click.echo("[]")
        except (duckdb.OperationalError, duckdb.InternalError) as error:
            raise StopRun(str(error), next_step="`mail-pipeline doctor` looks at the lake.") from None
        except duckdb.Error as error:
            raise click.UsageError(_explained(error)) from None


def _table(relation: duckdb.DuckDBPyRelation) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _PLAIN_WIDTH
    relation.show(max_width=width, max_rows=_TABLE_ROWS)


def _csv(relation: duckdb.DuckDBPyRelation) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(relation.columns)
    writer.writerows(_rows(relation))


def _json(relation: duckdb.DuckDBPyRelation) -> None:
    separator = "["
    # Columns of one name get different ones by that, and none is lost.
    relation = relation.project("*")
    for row in _rows(relation):
        record = dict(zip(relation.columns, row, strict=True))
        click.echo(separator + as_json(record), nl=False)
        separator = ",\n"
    click.echo("]" if separator != "[" else "[]")


def _rows(relation: duckdb.DuckDBPyRelation) -> Iterator[tuple[Any, ...]]:
    while rows := relation.fetchmany(_BATCH):
        yield from rows


_WRITERS = {"table": _table, "csv": _csv, "json": _json}


def _explained(error: duckdb.Error) -> str:
    text = str(error)
    if "read-only mode" in text:
        return "The lake is open for reading only: a query cannot change it."
    if isinstance(error, duckdb.CatalogException):
        return f'{text}\n\nmail-pipeline sql "SHOW TABLES" lists the tables.'
    return text
