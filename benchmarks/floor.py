"""The floor: what no program can go below. Each page is read, its cursor found, and thrown away."""

import json
import re
import sys

import requests

_CURSOR = re.compile(rb'"next_cursor":"([^"]+)"')


def read_and_discard(address: str) -> int:
    """Read the first mailbox of the server to its end; return how many pages that were."""
    pages = 0
    with requests.Session() as session:
        session.headers["Authorization"] = "Bearer benchmark"
        grant = session.get(f"{address}/v3/grants", timeout=120).json()["data"][0]["id"]
        parameters = {"limit": "200"}
        while True:
            with session.get(
                f"{address}/v3/grants/{grant}/messages", params=parameters, timeout=120, stream=True
            ) as answer:
                answer.raise_for_status()
                # `answer.content` reads 10 KB at a time, which doubles the cost.
                page = answer.raw.read()
            pages += 1
            # Behind the data, so that only the page's last bytes have to be looked at.
            found = _CURSOR.search(page, max(0, len(page) - 200))
            if found is None:
                return pages
            parameters["page_token"] = found[1].decode()


if __name__ == "__main__":
    json.dump({"pages": read_and_discard(sys.argv[1])}, sys.stdout)
