"""The lake: Parquet files under a DuckLake catalog. Knows tables and durability, nothing of HTTP."""
