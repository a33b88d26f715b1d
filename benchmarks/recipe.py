"""The API vendor's recipe, as its documents write it: requests, pandas, an upsert per page, the cursor kept.

"Backfill historical email" and "multi-provider email sync" of the vendor's cookbook, with DuckDB as the
database: one plain file, one table keyed by grant and id, nested fields as JSON text, and the page and its
cursor in one transaction. Kind to it: one Session, and no pause between pages.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import requests

_NESTED = ("from", "to", "cc", "bcc", "reply_to", "folders", "attachments")
_TABLES = """
CREATE TABLE IF NOT EXISTS messages (
    grant_id VARCHAR, id VARCHAR, object VARCHAR, thread_id VARCHAR, subject VARCHAR, date BIGINT,
    "from" VARCHAR, "to" VARCHAR, cc VARCHAR, bcc VARCHAR, reply_to VARCHAR, folders VARCHAR,
    unread BOOLEAN, starred BOOLEAN, snippet VARCHAR, body VARCHAR, attachments VARCHAR,
    PRIMARY KEY (grant_id, id)
);
CREATE TABLE IF NOT EXISTS cursors (grant_id VARCHAR PRIMARY KEY, cursor VARCHAR);
"""


def backfill(address: str, database: Path) -> int:
    """Store the first mailbox of the server, going on from a stored cursor; return how many it holds."""
    with duckdb.connect(database) as connection, requests.Session() as session:
        connection.execute(_TABLES)
        session.headers["Authorization"] = "Bearer benchmark"
        grant = _get(session, f"{address}/v3/grants", {})["data"][0]["id"]
        stored = connection.execute("SELECT cursor FROM cursors WHERE grant_id = ?", [grant]).fetchone()
        cursor = stored[0] if stored else None
        while True:
            parameters = {"limit": "200"} | ({"page_token": cursor} if cursor else {})
            page = _get(session, f"{address}/v3/grants/{grant}/messages", parameters)
            frame = pd.DataFrame(page["data"])
            for name in _NESTED:
                frame[name] = frame[name].map(json.dumps)
            cursor = page.get("next_cursor")
            connection.execute("BEGIN")
            connection.execute("INSERT OR REPLACE INTO messages BY NAME SELECT * FROM frame")
            connection.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", [grant, cursor])
            connection.execute("COMMIT")
            if not cursor:
                break
        count = connection.execute("SELECT count(*) FROM messages").fetchone()
    return int(count[0]) if count else 0


def _get(session: requests.Session, url: str, parameters: dict[str, str]) -> Any:
    answer = session.get(url, params=parameters, timeout=120)
    if answer.status_code == 429:
        time.sleep(int(answer.headers.get("Retry-After", "1")))
        answer = session.get(url, params=parameters, timeout=120)
    answer.raise_for_status()
    return answer.json()


if __name__ == "__main__":
    json.dump({"messages": backfill(sys.argv[1], Path(sys.argv[2]) / "mail.duckdb")}, sys.stdout)
