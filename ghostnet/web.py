"""Read from the web within limits of time and size, as cards, checkpoints and images are.

Redirects are followed here rather than by requests, which reads the body of a redirect whatever its
size and follows one from a public address to a private one. Deadlines are kept here because the
timeouts of requests begin again with every byte that arrives.
"""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from ghostnet.errors import FetchError

T = TypeVar("T")
Consumer = Callable[[int | None, Iterator[bytes]], T]

MAX_REDIRECTS = 5
MAX_WAIT = 30.0
CHUNK_BYTES = 256 * 1024
OBJECT = re.compile(r"<[^>]*>: |HTTPS?Connection\([^)]*\): ")
HEADERS = {"User-Agent": "mindspore-ghostnet", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class DownloadLimits:
    """Limits of a download: times in seconds, sizes in bytes.

    Attributes:
        max_bytes: Largest body.
        connect_time: Longest wait for a connection.
        read_time: Longest silence of a server.
        head_time: Longest time until the headers of the answer are there, redirects included.
        stall_time: Time in which ``stall_bytes`` of the body have to arrive.
        stall_bytes: See ``stall_time``.
        attempts: How often a download is tried.
        first_wait: Wait before the second attempt; before each further one it doubles.
        https_only: Whether plain HTTP is allowed only to this machine.
    """

    max_bytes: int
    connect_time: float = 10.0
    read_time: float = 30.0
    head_time: float = 60.0
    stall_time: float = 60.0
    stall_bytes: int = 64 * 1024
    attempts: int = 4
    first_wait: float = 0.5
    https_only: bool = True


TEXT_LIMITS = DownloadLimits(max_bytes=1024 * 1024)


class _Transient(Exception):
    """A failure that may not happen again in the next attempt."""

    def __init__(self, problem: str, wait: float = 0.0) -> None:
        super().__init__(problem)
        self.wait = wait


def read(url: str, consume: Consumer[T], limits: DownloadLimits) -> T:
    """Read the answer of a URL.

    A further attempt follows a broken connection, and a status of 5xx or 429.

    Args:
        url: Link, checked as by `check_link`.
        consume: Given the length, if known, and the chunks of the body; called in each attempt.
        limits: Limits of time and size.

    Returns:
        What ``consume`` returned.

    Raises:
        FetchError: The link is not allowed, the server refuses, or all attempts fail.
    """
    wait = limits.first_wait
    for attempt in range(1, limits.attempts + 1):
        try:
            with (
                _Watchdog(limits.head_time) as watchdog,
                closing(_open(url, limits, watchdog)) as response,
            ):
                return consume(_length(response, limits), _chunks(response, limits, watchdog))
        except _Transient as failure:
            if attempt == limits.attempts:
                raise FetchError(f"{url}: {failure} ({attempt} attempts)") from None
            time.sleep(min(max(wait, failure.wait), MAX_WAIT))
            wait *= 2
    raise FetchError(f"{url}: no attempt is allowed; allow at least one")


def fetch_text(url: str, limits: DownloadLimits = TEXT_LIMITS) -> str:
    """Read the UTF-8 text at a URL.

    Raises:
        FetchError: As `read`, or the answer is not UTF-8.
    """
    content = read(url, lambda _, chunks: b"".join(chunks), limits)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FetchError(f"{url}: the answer is not UTF-8 text") from None


def check_link(url: str, came_from: str | None = None, *, https_only: bool = True) -> None:
    """Check that a link may be opened.

    HTTPS is allowed to any address. A redirect may neither leave HTTPS nor lead from a public
    address to a private one.

    Args:
        url: The link.
        came_from: The link that redirected to it, if any.
        https_only: Whether plain HTTP is allowed only to this machine.

    Raises:
        FetchError: The link is not allowed.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        origin = urlsplit(came_from or "")
    except ValueError as error:
        raise FetchError(f"{url}: not a link: {error}") from None
    described = f"{url} (redirected from {came_from})" if came_from else url
    if parts.scheme not in ("https", "http") or not host:
        raise FetchError(f"{described}: a link has to start with https://")
    if parts.username is not None:
        raise FetchError(f"{described}: a link may not contain a user name")
    if https_only and parts.scheme == "http" and not _is_loopback(host):
        raise FetchError(f"{described}: plain http is allowed only to this machine; use https")
    if origin.scheme == "https" and parts.scheme == "http":
        raise FetchError(f"{described}: a redirect may not leave https")
    if came_from and _is_private(host) and not _is_private(origin.hostname or ""):
        raise FetchError(
            f"{described}: a redirect from a public address may not lead to a private one"
        )


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def _is_private(host: str) -> bool:
    """Whether a host has an address that is not publicly routed."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False  # unknown here: connecting will fail, or a proxy will resolve it
    addresses = [_address(text) for text in found]
    return any(address is not None and not address.is_global for address in addresses)


class _Watchdog:
    """Ends a connection at a deadline, whatever it waits for: a proxy, TLS, headers, a chunk.

    Args:
        seconds: Time until the deadline, which `extend` moves.

    Attributes:
        has_expired: Whether the deadline has passed.
    """

    def __init__(self, seconds: float) -> None:
        self.has_expired = False
        self._is_done = False
        self._deadline = time.monotonic() + seconds
        self._connection: socket.socket | None = None
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._wait, daemon=True)

    def __enter__(self) -> "_Watchdog":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._change:
            self._is_done = True
            self._change.notify()
        self._thread.join()
        if self._connection:
            self._connection.close()

    def extend(self, seconds: float) -> None:
        """Move the deadline to this time from now."""
        with self._change:
            self._deadline = time.monotonic() + seconds
            self._change.notify()

    def watch(self, connection: socket.socket) -> None:
        """Watch a connection in place of the one before."""
        with self._change:
            if self._connection:
                self._connection.close()
            self._connection = connection.dup()  # TLS takes over the socket itself
            self._expire_if_late()

    def _wait(self) -> None:
        with self._change:
            while not self._is_done and not self.has_expired:
                self._change.wait(self._deadline - time.monotonic())
                self._expire_if_late()

    def _expire_if_late(self) -> None:
        if self._is_done or time.monotonic() < self._deadline:
            return
        self.has_expired = True
        if self._connection:
            with suppress(OSError):  # the server may have hung up
                self._connection.shutdown(socket.SHUT_RDWR)


class _WatchedAdapter(requests.adapters.HTTPAdapter):
    """Opens connections that a watchdog watches from their first byte on."""

    def __init__(self, watchdog: _Watchdog) -> None:
        super().__init__()
        self._watchdog = watchdog

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*arguments, **options)
        watchdog, plain = self._watchdog, pool.ConnectionCls

        class Watched(plain):  # type: ignore[misc, valid-type]
            def _new_conn(self) -> socket.socket:
                connection: socket.socket = super()._new_conn()
                watchdog.watch(connection)
                return connection

        pool.ConnectionCls = Watched
        return pool


def _open(url: str, limits: DownloadLimits, watchdog: _Watchdog) -> requests.Response:
    """Follow redirects and return the last response, its body unread."""
    came_from: str | None = None
    for _ in range(MAX_REDIRECTS + 1):
        check_link(url, came_from, https_only=limits.https_only)
        response = _request(url, limits, watchdog)
        if not response.is_redirect:
            _check_status(response)
            return response
        response.close()
        came_from, url = url, _joined(url, response.headers["location"])
    raise FetchError(f"{url}: more than {MAX_REDIRECTS} redirects")


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise FetchError(f"{location} (redirected from {url}): not a link: {error}") from None


class _Session(requests.Session):
    """A session that does not follow redirects; requests' own would read their bodies."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def _request(url: str, limits: DownloadLimits, watchdog: _Watchdog) -> requests.Response:
    with _Session() as session:
        for scheme in ("https://", "http://"):
            session.mount(scheme, _WatchedAdapter(watchdog))
        session.trust_env = not _is_loopback(urlsplit(url).hostname or "")
        try:
            response = session.get(
                url,
                stream=True,
                allow_redirects=False,
                timeout=(limits.connect_time, limits.read_time),
                headers=HEADERS,
                auth=lambda request: request,  # or requests would send passwords from ~/.netrc
            )
        except (requests.RequestException, OSError, ValueError) as error:
            if not watchdog.has_expired:
                raise _failure(url, error) from None
    if watchdog.has_expired:  # a line that was cut short may have passed for a whole one
        raise _Transient(f"no whole answer within {limits.head_time:g} s")
    return response


def _failure(url: str, error: Exception) -> Exception:
    """Return what to raise for an error of requests."""
    if isinstance(error, requests.exceptions.SSLError):
        return FetchError(f"{url}: the server's certificate is not trusted: {error}")
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return _Transient(_reason(error))
    if isinstance(error, requests.RequestException | ValueError):
        return FetchError(f"{url}: {error}")
    return FetchError(  # of a file that the environment names
        f"{url}: {error}; correct REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, or unset it"
    )


def _check_status(response: requests.Response) -> None:
    status = response.status_code
    if status == 200:
        return
    response.close()
    answer = f"the server answers {status} {response.reason}"
    if status == 429 or status >= 500:
        wait = response.headers.get("Retry-After", "")
        raise _Transient(answer, float(wait) if wait.isascii() and wait.isdigit() else 0.0)
    raise FetchError(f"{response.url}: {answer}")


def _length(response: requests.Response, limits: DownloadLimits) -> int | None:
    text = response.headers.get("Content-Length", "")
    length = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    if length and length > limits.max_bytes:
        raise _too_large(response.url, length, limits)
    return length


def _chunks(
    response: requests.Response, limits: DownloadLimits, watchdog: _Watchdog
) -> Iterator[bytes]:
    """Yield the body as it arrives, within the limits of size and stalling."""
    received, mark = 0, 0
    watchdog.extend(limits.stall_time)
    while chunk := _next_chunk(response, limits, watchdog):
        received += len(chunk)
        if received > limits.max_bytes:
            raise _too_large(response.url, received, limits)
        if received - mark >= limits.stall_bytes:
            mark = received
            watchdog.extend(limits.stall_time)
        yield chunk


def _next_chunk(response: requests.Response, limits: DownloadLimits, watchdog: _Watchdog) -> bytes:
    problem = None
    try:
        chunk: bytes = response.raw.read1(CHUNK_BYTES, decode_content=False) or b""
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        problem = _reason(error)
    if watchdog.has_expired:
        problem = (
            f"the server stalls: fewer than {limits.stall_bytes:,} bytes in {limits.stall_time:g} s"
        )
    if problem:
        raise _Transient(problem)
    return chunk


def _too_large(url: str, found: int, limits: DownloadLimits) -> FetchError:
    return FetchError(
        f"{url}: {found:,} bytes or more, and at most {limits.max_bytes:,} are allowed"
    )


def _reason(error: Exception) -> str:
    """Return the innermost message of a network error."""
    inner = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    inner = getattr(inner, "reason", None) or inner
    return OBJECT.sub("", str(inner))
