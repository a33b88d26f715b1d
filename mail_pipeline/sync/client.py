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
    limits = Limits(
        google_units_per_second=settings.google_units_per_second,
        page_interval=settings.min_page_interval,
        patience=settings.patience,
    )
    return NylasClient(settings.api_key, settings.api_uri, limits=limits, views=views(read_subsets(settings)))
