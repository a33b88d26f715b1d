"""The floor: what no program can go below. Each page is read, its cursor found, and thrown away."""

import json
import re
import sys

import requests

_CURSOR = re.compile(rb'"next_cursor":"([^"]+)"')


def read_and_discard(address: str) -> int:
    """Read the first mailbox of the server to its end; return how many messages that were."""
    messages = 0
    with requests.Session() as session:
        session.headers["Authorization"] = "Bearer benchmark"
        grant = session.get(f"{address}/v3/grants", timeout=120).json()["data"][0]["id"]
        parameters = {"limit": "200"}
        while True:
            answer = session.get(f"{address}/v3/grants/{grant}/messages", params=parameters, timeout=120)
            answer.raise_for_status()
            page = answer.content
            messages += page.count(b'"object":"message"')
            # Behind the data, so that only the page's last bytes have to be looked at.
            found = _CURSOR.search(page, max(0, len(page) - 200))
            if found is None:
                return messages
            parameters["page_token"] = found[1].decode()


if __name__ == "__main__":
    json.dump({"messages": read_and_discard(sys.argv[1])}, sys.stdout)
