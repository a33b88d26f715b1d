"""One HTTP exchange with the API: what came back, or in plain words why nothing did."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from types import TracebackType
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode, urlsplit

import requests
import urllib3

from mail_pipeline.nylas.clock import Clock
from mail_pipeline.nylas.connections import BreakableAdapter
from mail_pipeline.nylas.errors import KeyRejected, NotNylas
from mail_pipeline.nylas.pacing import Limits

_READ_BYTES = 2**18
_AGENT = f"mail-pipeline/{version('mail-pipeline')}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, whole. `sent` and `received` (its headers) are monotonic seconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: float
    received: float
    size: int | None = None
    """Bytes that went into a file instead of `body`; over what was allowed, reading ended there."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An exchange that brought no whole answer, and the reason, free of addresses and content."""

    reason: str
    too_slow: bool = False
    """A smaller page might have come in time."""
    unsent: bool = False
    """No connection came about: the server certainly did nothing."""


class Transport:
    """A connection pool to one Nylas address that sends the API key there and nowhere else.

    It owns a `requests.Session` for its pool, proxies and certificates, and sends through the
    Session's adapter: that follows no redirect (which could carry the key to another host), takes
    no credentials from `.netrc` in place of the key, and leaves the percent-encoding of a path
    alone, where `Session.request` would turn `%2E%2E` into a step up the path. Thread-safe.
    """

    def __init__(self, api_key: str, api_uri: str, *, clock: Clock, limits: Limits) -> None:
        """Check the key's and the address's form. Raises KeyRejected or NotNylas; sends nothing."""
        self._base = _base(api_uri)
        self._clock = clock
        self._limits = limits
        self._adapter = BreakableAdapter()
        self._session = requests.Session()
        self._session.mount(self._base, self._adapter)
        environment = self._session.merge_environment_settings(self._base, {}, True, None, None)
        self._verify = environment["verify"] or True
        self._cert = environment["cert"]
        self._proxies = environment["proxies"]
        self._template = requests.PreparedRequest()
        self._template.prepare(
            method="GET",
            url=self._base,
            headers={
                "Authorization": f"Bearer {_key(api_key)}",
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": _AGENT,
            },
        )

    def get(self, path: str, parameters: Mapping[str, str | int]) -> Answer | Broken:
        """Send one GET below the address; `path` is already percent-encoded. Raises nothing."""
        return self.send("GET", path, parameters)

    def send(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str | int],
        body: Mapping[str, Any] | None = None,
    ) -> Answer | Broken:
        """Send one request, with `body` as JSON where there is one. Raises nothing."""
        request = self._request(method, path, parameters)
        if body is not None:
            request.prepare_body(json.dumps(body).encode(), None)
            request.headers["Content-Type"] = "application/json"
        return self._exchange(request, self._whole)

    def download(
        self, path: str, parameters: Mapping[str, str | int], target: BinaryIO, *, most: int
    ) -> Answer | Broken:
        """Send one GET and write the body of a 200 to `target`, which is emptied before.

        Reading ends as soon as there are more than `most` bytes, or the answer says that there will be.
        Raises the OSError of a `target` that cannot be written.
        """
        request = self._request("GET", path, parameters)
        request.headers["Accept"] = "*/*"
        # Files hardly shrink, and Content-Length is then the size of what is stored.
        request.headers["Accept-Encoding"] = "identity"

        def read(response: requests.Response, sent: float) -> Answer | Broken:
            if response.status_code != 200:
                return self._whole(response, sent)
            received = self._clock.monotonic()
            announced = response.headers.get("Content-Length", "")
            size: int | Broken = int(announced) if announced.isdecimal() else 0
            if isinstance(size, int) and size <= most:
                size = self._copy(response.raw, sent, target, most)
            if isinstance(size, Broken):
                return size
            return Answer(200, response.headers, b"", sent, received, size)

        try:
            return self._exchange(request, read)
        except _Unwritable as error:
            raise error.reason from None

    def _request(
        self, method: str, path: str, parameters: Mapping[str, str | int]
    ) -> requests.PreparedRequest:
        request = self._template.copy()
        request.method = method
        query = urlencode(parameters, quote_via=quote, safe="", errors="surrogatepass")
        request.url = f"{self._base}{path}?{query}" if query else f"{self._base}{path}"
        return request

    def _exchange(
        self,
        request: requests.PreparedRequest,
        read: Callable[[requests.Response, float], Answer | Broken],
    ) -> Answer | Broken:
        limits = self._limits
        sent = self._clock.monotonic()
        try:
            response = self._adapter.send(
                request,
                stream=True,
                timeout=(limits.connect_timeout, limits.read_timeout),
                verify=self._verify,
                cert=self._cert,
                proxies=self._proxies,
            )
            with response:
                return read(response, sent)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            return _broken(error)

    def _whole(self, response: requests.Response, sent: float) -> Answer | Broken:
        received = self._clock.monotonic()
        content = self._read(response.raw, sent)
        if isinstance(content, Broken):
            return content
        return Answer(response.status_code, response.headers, content, sent, received)

    def break_off(self) -> None:
        """End the exchanges under way, and each to come, with Broken."""
        self._adapter.break_off()

    def close(self) -> None:
        """Close the pool's connections."""
        self._session.close()

    def __enter__(self) -> "Transport":
        """Return itself; leaving closes the connections."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def _read(self, raw: urllib3.HTTPResponse, sent: float) -> bytes | Broken:
        # read1 returns with whatever has arrived, so a body that drips cannot hold us for ever.
        pieces: list[bytes] = []
        size = 0
        while piece := raw.read1(_READ_BYTES, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            if size > self._limits.largest_body:
                return Broken(f"sent more than {self._limits.largest_body} bytes", too_slow=True)
            if self._clock.monotonic() - sent > self._limits.answer_timeout:
                return Broken(f"was not through after {self._limits.answer_timeout:g} s", too_slow=True)
        return b"".join(pieces)

    def _copy(self, raw: urllib3.HTTPResponse, sent: float, target: BinaryIO, most: int) -> int | Broken:
        with _unwritable():
            target.seek(0)
            target.truncate()
        size = 0
        while size <= most and (piece := raw.read1(_READ_BYTES, decode_content=True)):
            size += len(piece)
            with _unwritable():
                target.write(piece)
            if self._clock.monotonic() - sent > self._limits.download_timeout:
                return Broken(f"was not through after {self._limits.download_timeout:g} s")
        return size


class _Unwritable(Exception):
    """The file a body goes to cannot be written: no fault of the connection, which raises OSError too."""

    def __init__(self, reason: OSError) -> None:
        super().__init__()
        self.reason = reason


@contextmanager
def _unwritable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _Unwritable(error) from error


def encoded(identifier: str) -> str:
    """Return an id as one path segment: nothing in it can end the segment or step out of it."""
    segment = quote(identifier, safe="", errors="surrogatepass")
    return segment.replace(".", "%2E") if segment in (".", "..") else segment


def _broken(error: Exception) -> Broken:
    # Only the kind of error is told: its text holds the address with ids and query values.
    reason: object = error
    seen = ""
    while isinstance(reason, Exception):
        seen += f" {type(reason).__name__}"
        nested = getattr(reason, "reason", None) or (reason.args[0] if reason.args else None)
        reason = nested if isinstance(nested, Exception) else reason.__cause__
    if "NameResolution" in seen or "gaierror" in seen:
        return Broken("could not be sent: the host's name is unknown", unsent=True)
    if "SSL" in seen or "Certificate" in seen:
        return Broken("could not be sent: no trusted TLS connection")
    if "ProxyError" in seen:
        return Broken("could not be sent: the proxy does not answer")
    if "NewConnection" in seen or "ConnectTimeout" in seen:
        return Broken("could not be sent: nothing accepts connections there", unsent=True)
    if "Timeout" in seen:
        return Broken("got no answer in time", too_slow=True)
    if "Decode" in seen:
        return Broken("got an answer whose compression is damaged")
    return Broken("got half an answer" if "IncompleteRead" in seen else "lost its connection")


def _base(api_uri: str) -> str:
    base = api_uri.strip().rstrip("/").removesuffix("/v3")
    try:
        parts = urlsplit(base)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        usable = usable and not (parts.username or parts.query or parts.fragment) and base.isascii()
    except ValueError:
        usable = False
    if not usable:
        raise NotNylas(
            "NYLAS_API_URI is not the address of an API: expected http(s)://host, without credentials",
            next_step="Set it to https://api.us.nylas.com or https://api.eu.nylas.com.",
        )
    return base


def _key(api_key: str) -> str:
    key = api_key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise KeyRejected(
            "NYLAS_API_KEY is empty or holds a character that no key has",
            next_step="Copy the key again from the Nylas dashboard (API Keys).",
        )
    return key
