"""The address at which Nylas reaches the receiver: what it may be, and whether two are the same."""

from urllib.parse import SplitResult, urlsplit

import click

from mail_pipeline.cli.terminal import notes
from mail_pipeline.inbox import RECEIVER_PATH

_LOCAL = ("localhost", "127.0.0.1")
_PORTS = {"https": 443, "http": 80}


def receiver_url(_ctx: click.Context, _parameter: click.Parameter, url: str) -> str:
    """Return the address given to a command. Raises BadParameter where Nylas could not send to it."""
    parts = _split(url)
    host = parts.hostname if parts else None
    plain = url.isascii() and url.isprintable() and " " not in url
    if parts is None or not host or parts.username or parts.fragment or not plain:
        raise click.BadParameter(f"expected an address such as https://mail.example.com{RECEIVER_PATH}.")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOCAL):
        raise click.BadParameter("Nylas sends to https:// only; http:// is for a simulator on this machine.")
    if any(label.startswith("ngrok") for label in host.split(".")):
        raise click.BadParameter("Nylas blocks ngrok: take another tunnel or an address of your own.")
    if parts.path.rstrip("/") != RECEIVER_PATH:
        notes().print(f"Note: the receiver answers on {RECEIVER_PATH}; something has to map this path to it.")
    return url


def is_receivers(url: str) -> bool:
    """Tell whether an address ends as the receiver's does."""
    parts = _split(url)
    return parts is not None and parts.path.rstrip("/").endswith(RECEIVER_PATH)


def same_address(one: str, other: str) -> bool:
    """Tell whether two addresses lead to the same place, however they are written."""
    return _comparable(one) == _comparable(other)


def _comparable(url: str) -> object:
    parts = _split(url)
    if parts is None:
        return url
    port = parts.port or _PORTS.get(parts.scheme)
    return parts.scheme, parts.hostname, port, parts.path.rstrip("/"), parts.query


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        # Reading it is what checks it.
        _ = parts.port
    except ValueError:
        return None
    return parts
