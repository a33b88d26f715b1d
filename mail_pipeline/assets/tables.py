"""What the catalogue says of an asset that is a table of the lake."""

from pathlib import Path
from typing import Any

import dagster as dg

from mail_pipeline.lake.connection import catalog_path
from mail_pipeline.lake.schema import TABLES

OWNERS = ["team:data"]
KINDS = {"nylas", "duckdb"}


def description(table: str, *sentences: str) -> str:
    """Return a table's description from the schema, followed by what the asset adds to it."""
    return " ".join((TABLES[table].description, *sentences))


def table_metadata(table: str) -> dict[str, Any]:
    """Return a table's name, columns and place, as the schema describes them, for the asset's page.

    Its folder is named by the variable that says where it lies: definitions load without an environment.
    """
    columns = [
        dg.TableColumn(column.name, column.type, description=column.description)
        for column in TABLES[table].columns
    ]
    return {
        "dagster/table_name": table,
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/uri": f"ducklake:sqlite:{catalog_path(Path('$MAIL_PIPELINE_DATA'))}#{table}",
    }
