"""The least and the greatest value of each column, as the catalog keeps them for a table as a whole.

DuckDB answers a query from them alone where it asks for what lies beyond. DuckLake only ever widens them, so
they tell of values that have been deleted; and it takes none, NULL, for a column without values.
"""

from mail_pipeline.lake.writer import Lake

_RECOUNT = """
UPDATE __ducklake_metadata_lake.ducklake_table_column_stats AS stored
SET min_value = counted.least, max_value = counted.greatest
FROM (
    SELECT table_id, column_id,
        -- All are kept as text, and whole numbers may be larger than a DOUBLE is exact.
        arg_min(s.min_value, (
            CASE WHEN column_type LIKE '%int%' THEN s.min_value::HUGEINT END,
            CASE WHEN column_type LIKE 'float%' THEN s.min_value::DOUBLE END,
            s.min_value
        )) AS least,
        arg_max(s.max_value, (
            CASE WHEN column_type LIKE '%int%' THEN s.max_value::HUGEINT END,
            CASE WHEN column_type LIKE 'float%' THEN s.max_value::DOUBLE END,
            s.max_value
        )) AS greatest
    FROM __ducklake_metadata_lake.ducklake_table_column_stats
    JOIN __ducklake_metadata_lake.ducklake_column AS c USING (table_id, column_id)
    LEFT JOIN __ducklake_metadata_lake.ducklake_file_column_stats AS s USING (table_id, column_id)
    WHERE c.end_snapshot IS NULL
    GROUP BY ALL
) AS counted
WHERE stored.table_id = counted.table_id AND stored.column_id = counted.column_id
"""


def recount_extremes(lake: Lake) -> None:
    """Make them those of the files there are, of all snapshots that can be travelled to."""
    lake.call(_RECOUNT)
