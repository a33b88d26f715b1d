"""Error answers in the API's envelope, raised where they are found."""

from typing import Any

from mail_pipeline.simulator.mailboxes import Grant

MAILLESS = frozenset({"virtual-calendar", "zoom"})
"""Providers whose grants have no mail."""
LACKING = {
    **dict.fromkeys(("messages", "threads", "contacts"), MAILLESS),
    **dict.fromkeys(("calendars", "events"), frozenset({"imap", "yahoo", "zoom"})),
}
"""Providers that lack a part of the account."""


class ApiError(Exception):
    """An answer that is not 200: status, `error.type`, message, optional provider error and headers."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        provider_error: Any = None,
        headers: dict[str, str] | None = None,
        limit: str | None = None,
    ) -> None:
        """Take also the name of the rate limit that was hit, for the request log."""
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.provider_error = provider_error
        self.headers = headers or {}
        self.limit = limit

    def record(self, request_id: str) -> dict[str, Any]:
        """Return the error envelope."""
        error = {"type": self.kind, "message": self.message}
        if self.provider_error is not None:
            error["provider_error"] = self.provider_error
        return {"request_id": request_id, "error": error}


def bad_request(message: str) -> ApiError:
    """Return the 400 for a parameter the API refuses."""
    return ApiError(400, "invalid_request_error", message)


def bad_cursor() -> ApiError:
    """Return the 400 for a page_token that is garbage, expired, or from a list with other parameters."""
    return bad_request("page_token is invalid or expired, or belongs to a request with other parameters")


def key_refused() -> ApiError:
    """Return the 401 for a missing or wrong API key."""
    return ApiError(401, "token.unauthorized_access", "Unauthorized: the API key is missing or not valid")


def grant_expired() -> ApiError:
    """Return the 401 for a grant whose owner has to authenticate again."""
    return ApiError(
        401,
        "api.authentication_error",
        "The grant is expired or not valid, please re-authenticate",
        provider_error={"code": 401, "message": "invalid_grant"},
    )


def not_found(what: str) -> ApiError:
    """Return the 404 for an object that is not there."""
    return ApiError(404, "not_found_error", f"{what} not found")


def grant_not_found() -> ApiError:
    """Return the 404 for a grant that is not there."""
    return ApiError(404, "grant.not_found", "No grant found")


def needs(grant: Grant, what: str) -> None:
    """Raise the API's 400 where a grant's provider lacks messages, threads, contacts, calendars or events."""
    if grant.provider in LACKING[what]:
        raise bad_request(f"provider {grant.provider} does not support {what}")
