"""Who sent a notification: HMAC-SHA256 over the raw bytes, with the webhook's secret."""

import hmac
from collections.abc import Sequence

HEADER = "x-nylas-signature"


def verify(body: bytes, signature: str | None, secrets: Sequence[str]) -> bool:
    """Return whether one of the secrets signed this body, as sent: compressed where it came compressed.

    Takes as long for a wrong signature as for a right one. Several secrets are valid while one replaces
    another.
    """
    given = (signature or "").encode()
    # All are tried, whichever fits.
    fits = [hmac.compare_digest(_sign(body, secret), given) for secret in secrets]
    return any(fits)


def _sign(body: bytes, secret: str) -> bytes:
    return hmac.digest(secret.encode(), body, "sha256").hex().encode()
