"""The API client as the settings want it."""

from mail_pipeline.nylas import Limits, NylasClient
from mail_pipeline.settings import Settings
from mail_pipeline.subset import read_subsets
from mail_pipeline.sync.view import views


def open_client(settings: Settings) -> NylasClient:
    """Return a client with the settings' key, address and limits; close it after use.

    It asks for what the configuration file wants and lets out nothing else. Raises StopRun where the key, the
    address or that file cannot be right.
    """
    wanted = views(read_subsets(settings))
    return NylasClient(settings.api_key, settings.api_uri, limits=limits_of(settings), views=wanted)


def limits_of(settings: Settings) -> Limits:
    """Return the numbers the client keeps to, as the settings want them."""
    return Limits(
        google_units_per_second=settings.google_units_per_second,
        page_interval=settings.min_page_interval,
        patience=settings.patience,
    )
