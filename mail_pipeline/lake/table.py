"""What a table of the lake is: its name, its columns with their meaning, and the statements that make it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

_ARROW_TYPES: dict[str, pa.DataType] = {
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "DOUBLE": pa.float64(),
    "INTEGER": pa.int32(),
    "JSON": pa.string(),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
    "UBIGINT": pa.uint64(),
    "VARCHAR": pa.string(),
    "VARCHAR[]": pa.list_(pa.string()),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its DuckDB type and what it holds."""

    name: str
    type: str
    description: str


def columns(*described: tuple[str, str, str]) -> tuple[Column, ...]:
    """Return columns from their names, types and descriptions."""
    return tuple(Column(*column) for column in described)


GRANT_ID = ("grant_id", "VARCHAR", "The connected account; ids below are unique only within it.")
MESSAGE_ID = ("message_id", "VARCHAR", "The message, as in `messages.id`.")
OBSERVED_AT = ("observed_at", "TIMESTAMPTZ", "Provider's clock at the newest observation of this row.")


@dataclass(frozen=True, slots=True)
class Table:
    """One table or, where `select` is given, one view.

    `sorted_by` is the order in which upkeep lays rows down, so that readers skip files.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    sorted_by: tuple[str, ...] = ()
    select: str | None = field(default=None, repr=False)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Return the names of the columns in their stored order."""
        return tuple(column.name for column in self.columns)

    @property
    def arrow(self) -> pa.Schema:
        """Return the Arrow schema in which rows are handed to the lake."""
        return pa.schema([pa.field(column.name, _ARROW_TYPES[column.type]) for column in self.columns])

    def ddl(self) -> Iterator[str]:
        """Yield the statements that create this table or view with its comments."""
        if self.select is not None:
            yield f"CREATE OR REPLACE VIEW {self.name} AS {self.select}"
            yield f"COMMENT ON VIEW {self.name} IS {_literal(self.description)}"
            return
        columns = ", ".join(f"{column.name} {column.type}" for column in self.columns)
        yield f"CREATE TABLE IF NOT EXISTS {self.name} ({columns})"
        yield f"COMMENT ON TABLE {self.name} IS {_literal(self.description)}"
        for column in self.columns:
            yield f"COMMENT ON COLUMN {self.name}.{column.name} IS {_literal(column.description)}"
        if self.sorted_by:
            yield f"ALTER TABLE {self.name} SET SORTED BY ({', '.join(self.sorted_by)})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
