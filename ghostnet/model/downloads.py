"""Images at URLs, several of which are downloaded at once."""

import threading
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import replace

from ghostnet.data.remote import URL, read_remote
from ghostnet.model.images import ImageSource

AT_ONCE = 16
"""Downloads that are under way at a time."""


def downloaded(images: Iterable[ImageSource]) -> Generator[ImageSource, None, None]:
    """Yield images in their order, with a download that has begun in the place of each URL.

    If the iterator is closed early, nobody waits for the downloads any longer.

    Args:
        images: Images, possibly without end.
    """
    running: deque[Future[bytes]] = deque()
    try:
        for image in images:
            if isinstance(image.source, str) and URL.match(image.source):
                while len(running) >= AT_ONCE:
                    running.popleft().exception()
                running.append(_begin(image.source))
                yield replace(image, source=running[-1])
            else:
                yield image
    except BaseException:
        for download in running:
            download.cancel()
        raise


def _begin(url: str) -> Future[bytes]:
    """Begin to download, in a thread that does not keep the process from ending."""
    download: Future[bytes] = Future()

    def run() -> None:
        with suppress(InvalidStateError):  # it was cancelled
            try:
                download.set_result(read_remote(url))
            except Exception as error:
                download.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return download
