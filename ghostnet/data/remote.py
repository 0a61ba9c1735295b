"""Images elsewhere: at web addresses and in object stores."""

import re
from pathlib import Path

from ghostnet.data.archives import is_archive
from ghostnet.errors import FetchError, ImageError

URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)

WEB = ("https", "http")
"""Schemes that are read here."""

STORES = {"s3": "s3fs", "gs": "gcsfs", "memory": "fsspec"}
"""Schemes that fsspec reads, with the package that it needs; ``memory`` is its own, for trials."""

MAX_BYTES = 64 * 1024**2
"""Largest file of an image."""


def read_remote(url: str) -> bytes:
    """Read the file of an image.

    Args:
        url: Its URL, with one of `WEB` or `STORES`; no other, such as ``file``, is opened.

    Raises:
        ImageError: It cannot be read, or takes too long or too many bytes.
    """
    found = URL.match(url)
    scheme = found[1].lower() if found else ""
    if is_archive(Path(url.partition("?")[0])):
        raise ImageError(f"{url}: an archive is read from a disk only; download it")
    if scheme in WEB:
        return _from_web(url)
    if scheme in STORES and "::" not in url:
        return _from_store(url, STORES[scheme])
    schemes = ", ".join(f"{name}://" for name in (*WEB, *STORES))
    raise ImageError(f"{url}: of URLs, only {schemes} are opened; name a file by its path")


def _from_web(url: str) -> bytes:
    from ghostnet import web  # requests takes 0.1 s to import

    limits = web.DownloadLimits(
        MAX_BYTES, head_time=30, stall_time=30, stall_bytes=256 * 1024, attempts=3, https_only=False
    )
    try:
        return web.read(url, lambda _, chunks: b"".join(chunks), limits)
    except FetchError as error:
        raise ImageError(str(error)) from error


def _from_store(url: str, package: str) -> bytes:
    try:
        import fsspec

        with fsspec.open(url, "rb") as file:
            content: bytes = file.read(MAX_BYTES + 1)
    except ImportError as error:
        advice = "pip install 'mindspore-ghostnet[cloud]'"
        raise ImageError(f"{url}: this needs the package {package}: {advice}") from error
    except Exception as error:  # file systems have errors of their own
        raise ImageError(f"{url}: cannot be read ({_reason(error)})") from error
    if len(content) > MAX_BYTES:
        raise ImageError(f"{url}: more than the {MAX_BYTES:,} bytes that are allowed")
    return content


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return str(error) or type(error).__name__
