"""The page of every table and view."""

from collections.abc import Iterable, Iterator

from docs.reference.blocks import code, page, paragraph, table
from mail_pipeline.lake.schema import TABLES
from mail_pipeline.lake.table import Column, Table
from mail_pipeline.marts.lineage import STATEMENTS, Source, column_sources

_GONE_TOO = "all_"
_COMMENTS = """SELECT column_name, comment FROM duckdb_columns()
WHERE database_name = 'lake' AND table_name = 'all_messages';"""


def tables() -> str:
    """Return the page of every table and view: what a row is, and each column."""
    shown = sorted({section_of(name) for name in TABLES})
    parts = [
        "# Tables",
        paragraph(
            "Everything the lake holds. `mail-pipeline sql`, `mail_pipeline.connect()` and any DuckDB read "
            "it: [asking](asking.md). Times are UTC, ids are compared byte for byte, and what begins with "
            "`all_` holds also what is gone. The same descriptions stand in the catalog and the UI."
        ),
        code("sql", _COMMENTS),
        table(
            ("name", "", "holds"),
            [(f"[`{name}`](#{name})", _kind(TABLES[name]), TABLES[name].description) for name in shown],
        ),
    ]
    for name in shown:
        parts += _described(TABLES[name])
    return page(parts)


def section_of(name: str) -> str:
    """Return which section describes a table: that of the view people query, where it stands behind one."""
    view = TABLES.get(name.removeprefix(_GONE_TOO))
    return name if view is None or view.select is None else view.name


def _kind(one: Table) -> str:
    return "table" if one.select is None else "view"


def _described(one: Table) -> Iterator[str]:
    yield f"## {one.name}"
    yield f"{one.description} A {_kind(one)}."
    yield _made(one) if one.name in STATEMENTS else _columns(one.columns)
    behind = TABLES.get(_GONE_TOO + one.name)
    if behind is not None and one.select is not None:
        known = set(one.column_names)
        yield f"The table `{behind.name}` has them all, gone ones too, and:"
        yield _columns([column for column in behind.columns if column.name not in known])


def _made(one: Table) -> str:
    sources = column_sources(one.name)
    return table(
        ("column", "type", "", "comes from"),
        [
            (f"`{each.name}`", f"`{each.type}`", each.description, _named(sources[each.name]))
            for each in one.columns
        ],
    )


def _named(sources: Iterable[Source]) -> str:
    return ", ".join(f"`{parent}.{column}`" for parent, column in sources)


def _columns(columns: Iterable[Column]) -> str:
    return table(
        ("column", "type", ""),
        [(f"`{column.name}`", f"`{column.type}`", column.description) for column in columns],
    )
