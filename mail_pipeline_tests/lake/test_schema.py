from pathlib import Path

import pytest

from mail_pipeline.lake.connection import connect
from mail_pipeline.lake.schema import STORED, TABLES, VIEWS
from mail_pipeline.lake.table import Column, Table

IN_DUCKDB = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_has_the_columns_that_are_described_in_that_order(data: Path, table: Table):
    with connect(data) as connection:
        described = connection.execute(f"DESCRIBE {table.name}").fetchall()
    assert [(name, kind) for name, kind, *_ in described] == [
        (column.name, IN_DUCKDB.get(column.type, column.type)) for column in table.columns
    ]


@pytest.mark.parametrize("table", STORED, ids=lambda table: table.name)
def test_descriptions_stand_in_the_catalog_as_comments(data: Path, table: Table):
    with connect(data) as connection:
        [comment] = connection.execute(
            "SELECT comment FROM duckdb_tables() WHERE database_name = 'lake' AND table_name = ?",
            [table.name],
        ).fetchall()
        columns = connection.execute(
            """SELECT column_name, comment FROM duckdb_columns()
            WHERE database_name = 'lake' AND table_name = ? ORDER BY column_index""",
            [table.name],
        ).fetchall()
    assert comment == (table.description,)
    assert columns == [(column.name, column.description) for column in table.columns]


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_everything_is_described_in_a_sentence(table: Table):
    for text in (table.description, *(column.description for column in table.columns)):
        assert len(text.split()) > 1
        assert text.endswith(".")


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_reads_stored_tables(data: Path, view: Table):
    with connect(data) as connection:
        assert connection.execute(f"SELECT count(*) FROM {view.name}").fetchone() == (0,)


def test_arrow_rows_fit_the_stored_tables():
    assert Table("t", "T.", (Column("at", "TIMESTAMPTZ", "When."),)).arrow.field("at").type.tz == "UTC"
    for table in STORED:
        assert table.arrow.names == list(table.column_names)
