"""Images at URLs, several of which are downloaded at once."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace

from ghostnet.data.remote import URL, read_remote
from ghostnet.model.images import ImageSource
from ghostnet.threads import thread_pool

AT_ONCE = 16
"""Downloads that are under way at a time."""


def downloaded(images: Iterable[ImageSource]) -> Iterator[ImageSource]:
    """Yield images in their order, with a download that has begun in the place of each URL.

    Args:
        images: Images, possibly without end.
    """
    running: deque[Future[bytes]] = deque()
    with thread_pool(AT_ONCE) as executor:
        for image in images:
            if isinstance(image.source, str) and URL.match(image.source):
                while len(running) >= AT_ONCE:
                    running.popleft().exception()
                running.append(executor.submit(read_remote, image.source))
                yield replace(image, source=running[-1])
            else:
                yield image
