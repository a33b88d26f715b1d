"""What of a request and its answer may be shown in an error or a log."""

import re
from collections.abc import Iterable

_GRANT_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_TOKEN = re.compile(r"[0-9A-Za-z_.:-]{1,80}")


def shown_grant(grant_id: str) -> str:
    """Return a grant's id, which is no secret, unless it is an address (Nylas takes those too)."""
    return grant_id if _GRANT_ID.fullmatch(grant_id) else "<grant>"


def shown_token(value: object) -> str:
    """Return an error type or request id as sent if it is one plain word, else nothing.

    A server is free to put anything in these fields; what is no plain word may be mail content.
    """
    return value if isinstance(value, str) and _TOKEN.fullmatch(value) else ""


def shown_request(method: str, path: str, parameters: Iterable[str]) -> str:
    """Return `GET path?name&name`: a path made to be shown, and the names alone of the parameters."""
    query = "&".join(parameters)
    return f"{method} {path}?{query}" if query else f"{method} {path}"
