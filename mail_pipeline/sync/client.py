"""The API client as the settings want it."""

from mail_pipeline.nylas import Limits, NylasClient
from mail_pipeline.settings import Settings


def open_client(settings: Settings) -> NylasClient:
    """Return a client with the settings' key, address and limits; close it after use.

    Raises StopRun where the key or the address cannot be right.
    """
    return NylasClient(settings.api_key, settings.api_uri, limits=limits_of(settings))


def limits_of(settings: Settings) -> Limits:
    """Return the numbers the client keeps to, as the settings want them."""
    return Limits(
        google_units_per_second=settings.google_units_per_second,
        page_interval=settings.min_page_interval,
        patience=settings.patience,
    )
