"""Read from the network: the only module that opens a connection.

Redirects and stalls are handled here rather than by requests, which reads the body of a redirect
whatever its size, follows one from a public address to a private one, and waits for ever on a
server that sends a byte now and then.
"""

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from ghostnet.errors import FetchError
from ghostnet.files import MAX_BYTES

T = TypeVar("T")
Consumer = Callable[[int | None, Iterator[bytes]], T]

MAX_REDIRECTS = 5
MAX_WAIT = 30.0
CHUNK_BYTES = 256 * 1024
OBJECT = re.compile(r"<[^>]*>: |HTTPS?Connection\([^)]*\): ")
HEADERS = {"User-Agent": "mindspore-ghostnet", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Limits:
    """Limits of a download: times in seconds, sizes in bytes.

    A connection that brings fewer than ``stall_bytes`` in ``stall_time`` counts as broken. The wait
    before each attempt is twice the one before.
    """

    connect_time: float = 10.0
    read_time: float = 30.0
    stall_time: float = 60.0
    stall_bytes: int = 64 * 1024
    max_bytes: int = MAX_BYTES
    attempts: int = 4
    first_wait: float = 0.5


DEFAULT_LIMITS = Limits()
CARD_LIMITS = Limits(max_bytes=1024 * 1024)


class _Transient(Exception):
    """A failure that the next attempt may not meet."""

    def __init__(self, problem: str, wait: float = 0.0) -> None:
        super().__init__(problem)
        self.wait = wait


def read(url: str, consume: Consumer[T], limits: Limits = DEFAULT_LIMITS) -> T:
    """Read what a URL answers with.

    A broken connection, a 5xx and a 429 are tried again.

    Args:
        url: Link, checked as by `check_link`.
        consume: Takes the length, if known, and the chunks of the body; called at each attempt.
        limits: Limits of time and size.

    Returns:
        What ``consume`` returned.

    Raises:
        FetchError: The link is not allowed, the server refuses, or all attempts failed.
    """
    wait = limits.first_wait
    for attempt in range(1, limits.attempts + 1):
        try:
            with closing(_open(url, limits)) as response:
                return consume(_length(response, limits), _chunks(response, limits))
        except _Transient as failure:
            if attempt == limits.attempts:
                raise FetchError(f"{url}: {failure} ({attempt} attempts)") from None
            time.sleep(min(max(wait, failure.wait), MAX_WAIT))
            wait *= 2
    raise FetchError(f"{url}: expected at least one attempt, found {limits.attempts}")


def fetch_text(url: str, limits: Limits = CARD_LIMITS) -> str:
    """Read the UTF-8 text that a URL answers with.

    Raises:
        FetchError: As `read`, or the answer is not UTF-8.
    """
    content = read(url, lambda _, chunks: b"".join(chunks), limits)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FetchError(f"{url}: expected UTF-8 text, found other bytes") from None


def check_link(url: str, came_from: str | None = None) -> None:
    """Check that a link may be opened.

    HTTPS is allowed to any address, plain HTTP to this machine only. A redirect may neither leave
    HTTPS nor lead from a public address to a private one.

    Args:
        url: The link.
        came_from: Link that redirected to it, if any.

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
        raise FetchError(f"{described}: expected a link that starts with https://")
    if parts.username is not None:
        raise FetchError(f"{described}: expected a link without a user name in it")
    if parts.scheme == "http" and not _is_loopback(host):
        raise FetchError(f"{described}: plain http is allowed to this machine only; expected https")
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
    """Whether any address of a host is not publicly routed."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False  # unknown here: connecting will fail, or a proxy will resolve it
    addresses = [_address(text) for text in found]
    return any(address is not None and not address.is_global for address in addresses)


def _open(url: str, limits: Limits) -> requests.Response:
    """Follow redirects and return the last response, its body unread."""
    came_from: str | None = None
    for _ in range(MAX_REDIRECTS + 1):
        check_link(url, came_from)
        response = _request(url, limits)
        if not response.is_redirect:
            _check_status(response)
            return response
        response.close()
        came_from, url = url, _joined(url, response.headers["location"])
    raise FetchError(f"{url}: expected at most {MAX_REDIRECTS} redirects, found more")


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise FetchError(f"{location} (redirected from {url}): not a link: {error}") from None


class _Session(requests.Session):
    """A session that does not follow redirects; requests' own would read their bodies."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def _request(url: str, limits: Limits) -> requests.Response:
    with _Session() as session:
        session.trust_env = not _is_loopback(urlsplit(url).hostname or "")
        try:
            return session.get(
                url,
                stream=True,
                allow_redirects=False,
                timeout=(limits.connect_time, limits.read_time),
                headers=HEADERS,
                auth=lambda request: request,  # or requests would send passwords from ~/.netrc
            )
        except requests.exceptions.SSLError as error:
            raise FetchError(f"{url}: the server's certificate is not trusted: {error}") from None
        except (requests.ConnectionError, requests.Timeout) as error:
            raise _Transient(_reason(error)) from None
        except (requests.RequestException, ValueError) as error:
            raise FetchError(f"{url}: {error}") from None
        except OSError as error:  # requests' own, of a file that the environment names
            raise FetchError(
                f"{url}: {error}; correct REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, or unset it"
            ) from None


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


def _length(response: requests.Response, limits: Limits) -> int | None:
    text = response.headers.get("Content-Length", "")
    length = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    if length and length > limits.max_bytes:
        raise _too_large(response.url, length, limits)
    return length


def _chunks(response: requests.Response, limits: Limits) -> Iterator[bytes]:
    """Yield the body as it arrives, within the limits of size and stalling."""
    received, mark, since = 0, 0, time.monotonic()
    while chunk := _next_chunk(response):
        received += len(chunk)
        if received > limits.max_bytes:
            raise _too_large(response.url, received, limits)
        now = time.monotonic()
        if received - mark >= limits.stall_bytes:
            mark, since = received, now
        elif now - since > limits.stall_time:
            raise _Transient(
                f"{received - mark} bytes in {limits.stall_time:g} s: the server stalls"
            )
        yield chunk


def _next_chunk(response: requests.Response) -> bytes:
    try:
        return response.raw.read1(CHUNK_BYTES, decode_content=False) or b""
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _Transient(_reason(error)) from None


def _too_large(url: str, found: int, limits: Limits) -> FetchError:
    return FetchError(f"{url}: expected at most {limits.max_bytes} bytes, found {found} or more")


def _reason(error: Exception) -> str:
    """Return the innermost message of a network error."""
    inner = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    inner = getattr(inner, "reason", None) or inner
    return OBJECT.sub("", str(inner))
