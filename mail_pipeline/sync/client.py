"""The API client as the settings want it."""

from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def client_for(settings: Settings, client: NylasClient | None) -> Iterator[NylasClient]:
    """Give the client, which knows what each limit has left, or where there is none a new, checked one.

    Raises StopRun where that is refused. Only a new one is closed in the end.
    """
    if client is not None:
        yield client
        return
    with open_client(settings) as new:
        new.check()
        yield new


def limits_of(settings: Settings) -> Limits:
    """Return the numbers the client keeps to, as the settings want them."""
    return Limits(
        google_units_per_second=settings.google_units_per_second,
        page_interval=settings.min_page_interval,
        patience=settings.patience,
    )
