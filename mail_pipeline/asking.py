"""The connection people ask their questions with: the lake, and words through the search index."""

from contextlib import ExitStack
from pathlib import Path

import duckdb

from mail_pipeline.lake import connection as lake
from mail_pipeline.search.sql import offer_search


def connect(data: str | Path | None = None) -> duckdb.DuckDBPyConnection:
    """Open the lake for reading, beside any number of writers, with the table function `search(words)`.

    Every statement sees one consistent snapshot. `data` is the data folder; without it
    `MAIL_PIPELINE_DATA` counts, then the project's `data/`, then, where that holds no lake, the demo's
    `data/demo`.
    Nothing is downloaded. Raises StopRun, naming the folder, where there is no lake.
    """
    folder = lake.data_folder(data)
    with ExitStack() as failed:
        connection = failed.enter_context(lake.connect(folder))
        offer_search(connection, folder)
        failed.pop_all()
    return connection
