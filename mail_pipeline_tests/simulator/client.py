"""A plain HTTP client for the tests of the simulator: no retries, no opinion."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import requests

from mail_pipeline.simulator import API_KEY


class Api:
    """Calls to one simulator."""

    def __init__(self, url: str, key: str = API_KEY) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key}"

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.session.get(self.url + path, params=params, timeout=30)

    def mail(self, grant_id: str, **params: Any) -> requests.Response:
        # `in` is a keyword, so it is passed as `folder`.
        if "folder" in params:
            params["in"] = params.pop("folder")
        return self.get(f"/v3/grants/{grant_id}/messages", **params)

    def message(self, grant_id: str, message_id: str, **params: Any) -> requests.Response:
        return self.get(f"/v3/grants/{grant_id}/messages/{quote(message_id, safe='')}", **params)

    def one(self, grant_id: str, what: str, object_id: str, **params: Any) -> requests.Response:
        return self.get(f"/v3/grants/{grant_id}/{what}/{quote(object_id, safe='')}", **params)

    def pages(self, grant_id: str, what: str = "messages", **params: Any) -> Iterator[dict[str, Any]]:
        if "folder" in params:
            params["in"] = params.pop("folder")
        while True:
            response = self.get(f"/v3/grants/{grant_id}/{what}", **params)
            assert response.status_code == 200, response.text
            page = response.json()
            yield page
            if not page.get("next_cursor"):
                return
            params["page_token"] = page["next_cursor"]

    def all(self, grant_id: str, what: str = "messages", **params: Any) -> list[dict[str, Any]]:
        return [record for page in self.pages(grant_id, what, **params) for record in page["data"]]
