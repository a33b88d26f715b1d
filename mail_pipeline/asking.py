"""The connection people ask their questions with: the lake, and words through the search index."""

from contextlib import ExitStack
from pathlib import Path

import duckdb

from mail_pipeline.lake import connection as lake
from mail_pipeline.project import folder_to_read
from mail_pipeline.search.sql import offer_search


def connect(data: str | Path | None = None) -> duckdb.DuckDBPyConnection:
    """Open the lake for reading, beside any number of writers, with the table function `search(words)`.

    Every statement sees one consistent snapshot. `data` is the data folder; without it the one of
    `MAIL_PIPELINE_DATA`, set in the environment or in the project's `.env`, then the project's `data/`; the
    demo's where that is the only lake and no key is set. Nothing is downloaded. Raises StopRun, naming the
    folder, where there is no lake.
    """
    folder = folder_to_read() if data is None else Path(data)
    with ExitStack() as failed:
        connection = failed.enter_context(lake.connect(folder))
        offer_search(connection, folder)
        failed.pop_all()
    return connection
