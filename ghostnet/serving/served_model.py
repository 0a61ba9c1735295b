"""The model of a server, which runs the images of any number of requests at once."""

import asyncio
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from numpy.typing import NDArray
from starlette.requests import ClientDisconnect, Request

from ghostnet.errors import ImageError
from ghostnet.model import ImageSource, Model
from ghostnet.model.pipeline import Logits
from ghostnet.serving.batcher import Answer, Batcher, Observe, Source
from ghostnet.serving.limits import Limits


@dataclass
class Counted:
    """What a model has computed since its start.

    Attributes:
        images: Images that went through the network.
        batches: Calls of the network.
        seconds: Time of these calls.
    """

    images: int = 0
    batches: int = 0
    seconds: float = 0.0


class ServedModel:
    """A model that runs the images of many requests in shared batches.

    Args:
        model: As `ghostnet.hub.open_model` returns it.
        limits: Sizes of the batch and of the queue.
        observe: Called with the images of each batch and the seconds of its forward pass.

    Attributes:
        name: Name of the model in addresses: the last part of its UID or file, without suffix.
        is_ready: Whether it takes images.
        counted: What it has computed.

    Raises:
        KernelError: The fused kernels are not available.
    """

    def __init__(self, model: Model, limits: Limits, observe: Observe) -> None:
        self.model = model
        self.limits = limits
        self.observe = observe
        self.counted = Counted()
        self.session = model.session()
        self.name = PurePosixPath(model.name).name.removesuffix(".ckpt").removesuffix(".md")
        self.is_ready = False

    def start(self) -> None:
        """Warm up and begin to accept images; call this on the event loop."""
        blank = self.model.preprocess.blank
        self.session(blank(self.limits.batch))
        self._batcher = Batcher(self.session, self._put, blank, self.limits, self._count)
        self.is_ready = True

    def stop(self) -> None:
        """Finish the accepted images."""
        self.is_ready = False
        self._batcher.close()

    async def run(self, request: Request, sources: list[Source]) -> list[Logits | ImageError]:
        """Run the images of a request whose body has been read.

        Raises:
            Refusal: There is no room for the images.
            ClientDisconnect: The client left; its images are taken out of the queue.
        """
        if not sources:
            return []
        answers = self._batcher.submit(sources)
        leaving = asyncio.ensure_future(_leaves(request))
        leaving.add_done_callback(lambda _: _cancel(answers))
        try:
            await asyncio.wait(answers)
        finally:
            leaving.cancel()
        if any(answer.cancelled() for answer in answers):
            raise ClientDisconnect
        return [answer.result() for answer in answers]

    def _count(self, images: int, seconds: float) -> None:
        self.counted.images += images
        self.counted.batches += 1
        self.counted.seconds += seconds
        self.observe(images, seconds)

    def _put(self, source: Source, place: NDArray[Any]) -> None:
        name = "these bytes" if isinstance(source, bytes) else "this array"
        ImageSource(name, source).put(self.model.preprocess, place)


async def _leaves(request: Request) -> None:
    """Return when the client closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _cancel(answers: list[Answer]) -> None:
    for answer in answers:
        answer.cancel()
