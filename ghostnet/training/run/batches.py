"""The batches of an epoch, from any step on: a pure function of seed, epoch and step."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import mindspore.dataset as ds
import numpy as np
from numpy.typing import NDArray

from ghostnet.data.transforms import decode
from ghostnet.errors import DatasetError, ImageError
from ghostnet.system.machine import processors
from ghostnet.training.augment import Augment
from ghostnet.training.class_balance import balanced_sample
from ghostnet.training.config import Balance
from ghostnet.training.source import COLUMNS, IMAGE, INDEX, Order, Source, describe_broken

TURN = "turn"
"""Column of how often an epoch has shown an image before."""


@dataclass(frozen=True)
class Worker:
    """One of the processes that train together; each has its share of every batch."""

    rank: int = 0
    count: int = 1


@dataclass(frozen=True)
class Batch:
    """The images of one worker in one step.

    Attributes:
        images: (batch_size, 3, image_size, image_size) float32.
        labels: (batch_size,) int32; `UNLABELED` where the class is not known.
        indices: (batch_size,) int64, places of the images in their source.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int32]
    indices: NDArray[np.int64]


@dataclass(frozen=True)
class Batches:
    """The batches of one worker.

    Attributes:
        source: The training images.
        augment: Their augmentation; each image has a generator of its own in each epoch.
        batch_size: Images in one step of one worker.
        seed: Seed of order and augmentation.
        threads: Threads that read and augment; no more than there are processors are used.
        worker: The worker.
        views: Number of augmentations of each image that epochs use in turn; 0 for a new one in
            every epoch.
        balance: With ``sampling``, an epoch has as many images of each class.
    """

    source: Source
    augment: Augment
    batch_size: int
    seed: int = 0
    threads: int = 1
    worker: Worker = Worker()
    views: int = 0
    balance: Balance = Balance.OFF

    @property
    def steps(self) -> int:
        """Number of whole batches in an epoch; each epoch leaves out other images.

        Raises:
            DatasetError: There are not enough images for one batch.
        """
        steps = len(self.source) // (self.batch_size * self.worker.count)
        if steps == 0:
            raise DatasetError(
                f"{len(self.source)} training images do not fill a batch of {self.batch_size} for "
                f"each of {self.worker.count} workers; lower batch_size"
            )
        return steps

    def order(self, epoch: int) -> Order:
        """Return the (steps, batch_size) indices of the worker's images in an epoch."""
        return self._order_of_all(epoch)[..., self.worker.rank]

    def met(self, step: int) -> NDArray[np.bool_]:
        """Tell for each image whether any worker met it in the first ``step`` steps of the run."""
        met = np.zeros(len(self.source), np.bool_)
        for first in range(0, step, self.steps):
            met[self._order_of_all(first // self.steps)[: step - first]] = True
        return met

    def _order_of_all(self, epoch: int) -> Order:
        """Return the (steps, batch_size, workers) indices of the images in an epoch."""
        generator = np.random.default_rng([self.seed, epoch])
        if self.balance is Balance.SAMPLING:
            shuffled = balanced_sample(self.source.labels, generator)
        else:
            shuffled = generator.permutation(len(self.source))
        used = shuffled[: self.steps * self.batch_size * self.worker.count]
        return used.reshape(self.steps, self.batch_size, self.worker.count)

    def _turns(self, epoch: int) -> Order:
        """Return how often each image of `order` was met in the epoch before, by any worker."""
        order = self._order_of_all(epoch)
        if self.balance is not Balance.SAMPLING:  # each image comes once
            return np.zeros_like(order[..., self.worker.rank])
        met: Counter[int] = Counter()
        turns = np.empty(order.size, np.int64)
        for place, index in enumerate(order.ravel().tolist()):
            turns[place] = met[index]
            met[index] += 1
        return turns.reshape(order.shape)[..., self.worker.rank]

    def view(self, epoch: int) -> int:
        """Return the number of the augmentation that an epoch uses."""
        return 1 + epoch % self.views if self.views else epoch

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from ``first_step`` on.

        Raises:
            DatasetError: An image is broken.
        """
        view = self.view(epoch)

        def augmented(image: NDArray[np.uint8], index: NDArray[np.int64], turn: Order) -> object:
            again = [int(turn)] if turn and not self.views else []
            generator = np.random.default_rng([self.seed, view, int(index), *again])
            return self.augment(decode(image.tobytes()), generator), index

        order = self.order(epoch)[first_step:].ravel()
        threads = min(self.threads, processors())
        turns = [(np.array(turn),) for turn in self._turns(epoch)[first_step:].ravel()]
        rows = self.source.dataset(order), ds.GeneratorDataset(turns, [TURN], shuffle=False)
        pipeline = (
            ds.zip(rows)
            .map(augmented, [IMAGE, INDEX, TURN], [IMAGE, INDEX], num_parallel_workers=threads)
            .batch(self.batch_size)
        )
        try:
            for row in pipeline.create_dict_iterator(num_epochs=1, output_numpy=True):
                yield Batch(*(row[name] for name in COLUMNS))
        except RuntimeError as error:
            raise DatasetError(self._broken(order) or _cause(error)) from error

    def _broken(self, order: Order) -> str | None:
        """Return the first broken image at these indices, with the reason."""
        for index, image in self.source.images(order):
            try:
                decode(image)
            except ImageError as error:
                return describe_broken(self.source, index, image, error)
        return None


def _cause(error: RuntimeError) -> str:
    """Return the line that matters of the many in which MindSpore reports an exception."""
    raised = re.findall(r"^\w+(?:Error|Exception)\b.*", str(error), re.MULTILINE)
    reason = raised[-1] if raised else str(error).partition("\n")[0]
    return f"an image could not be read: {reason}"
