"""Which columns a column of a mart is made from: read off the very statements that make it."""

import re
from collections.abc import Mapping
from functools import cache

from sqlglot import exp, parse_one
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from mail_pipeline.lake.mart_tables import MART_VIEWS
from mail_pipeline.lake.schema import TABLES
from mail_pipeline.marts.tables import MARTS, OWN_ADDRESSES

_DIALECT = "duckdb"
_READ = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)")
"""Parsing all statements takes 0.08 s, and every process of Dagster asks what they read."""
_STATES = ("_new", "_now")
"""What a refresh calls a mart while it is at work on it."""

_ACCOUNTS = {
    "grant_id": (("grants", "id"),),
    "address": (("grants", "email"), ("grants", "extra")),
    "source": (),
}
"""Columns of `accounts`, which a refresh makes itself of the grants' own addresses and aliases."""

STATEMENTS = {
    **{mart.name: mart.rows for mart in (OWN_ADDRESSES, *MARTS)},
    **{view.name: view.select for view in MART_VIEWS if view.select is not None},
}
"""What makes the rows of each mart and of each view over them, in the order in which they are made."""

Source = tuple[str, str]
"""A table or view of the lake, and one of its columns."""


@cache
def column_sources(name: str) -> Mapping[str, tuple[Source, ...]]:
    """Return, for each column of a mart or of a view over marts, the columns that its values come from.

    Those of other tables and views of the lake, sorted; none for what only counts rows. What merely chooses
    rows, as a join or a filter does, is not named, nor is a mart made later: what that held before says only
    which rows of its own sources to look at.
    """
    query = parse_one(STATEMENTS[name], dialect=_DIALECT)
    for table in query.find_all(exp.Table):
        table.set("this", exp.to_identifier(_stored(table.name)))
    known: dict[str, object] = {
        table.name: {column.name: column.type for column in table.columns} for table in TABLES.values()
    }
    known |= {
        "accounts": dict.fromkeys(_ACCOUNTS, "VARCHAR"),
        "chunk": {"grant_id": "VARCHAR", "rows": "BIGINT"},
    }
    # Done once: for each column anew it would take most of the time.
    qualified = qualify(query, schema=known, dialect=_DIALECT, validate_qualify_columns=False)
    scope = build_scope(qualified)
    order = list(STATEMENTS)
    readable = TABLES.keys() - order[order.index(name) :]
    found: dict[str, tuple[Source, ...]] = {}
    for column in TABLES[name].column_names:
        root = lineage(column, qualified, schema=known, scope=scope, dialect=_DIALECT, trim_selects=False)
        leaves = ((node.source, node.name) for node in root.walk() if not node.downstream)
        sources = {
            (source.name, exp.to_column(label, dialect=_DIALECT).name)
            for source, label in leaves
            if isinstance(source, exp.Table)
        }
        sources |= {source for table, label in sources if table == "accounts" for source in _ACCOUNTS[label]}
        found[column] = tuple(sorted(source for source in sources if source[0] in readable))
    return found


def parents(name: str) -> tuple[str, ...]:
    """Return the tables that a mart, or a view over marts, reads; the marts among them come last.

    Not a mart made later: what that held before says only which rows to look at.
    """
    read = {_stored(table) for table in _READ.findall(STATEMENTS[name])}
    order = list(STATEMENTS)
    own = (each for each in order[: order.index(name)] if each in read)
    return (*sorted(read & TABLES.keys() - set(order)), *own)


def _stored(name: str) -> str:
    for state in _STATES:
        name = name.removesuffix(state)
    return name
