"""How DuckLake writes the lake's files: options that the catalog keeps."""

import duckdb

from mail_pipeline.lake import schema

_OF_THE_LAKE = {
    "parquet_compression": "zstd",
    # Half the CPU of level 3 for a tenth more bytes.
    "parquet_compression_level": "1",
    "data_inlining_row_limit": "0",
    # Bounds how long one step of upkeep holds the lock.
    "target_file_size": "128MB",
}
_OF_TABLES = {
    # A writer holds a row group in memory: 20 MB of bodies by this, 1 GB of them by the default.
    ("message_bodies", "parquet_row_group_size"): "2048",
    # A commit's few rows need no order of their own, which takes up to a third of its CPU; merges make one.
    **{(table, "sort_on_insert"): "false" for table in schema.MAIL_TABLES},
}
_KNOWN = "SELECT option_name, scope_entry FROM lake.options()"
_SET = "CALL lake.set_option($name, $value)"
_SET_OF_TABLE = "CALL lake.set_option($name, $value, table_name => $table)"


def set_options(connection: duckdb.DuckDBPyConnection) -> None:
    """Set those that the attached lake, whose tables are there, does not have; others stay as they are.

    DuckLake sets each in a transaction of its own, so a first writer may have been killed between two.
    """
    known = set(connection.execute(_KNOWN).fetchall())
    for name, value in _OF_THE_LAKE.items():
        if (name, None) not in known:
            connection.execute(_SET, {"name": name, "value": value})
    for (table, name), value in _OF_TABLES.items():
        if (name, f"main.{table}") not in known:
            connection.execute(_SET_OF_TABLE, {"name": name, "value": value, "table": table})
