"""A teacher's answers for views of the training images, computed once and kept on disk."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.data.transforms import Preprocess, decode
from ghostnet.errors import DatasetError, ImageError, TrainingError
from ghostnet.files import raising, replacing, write_whole
from ghostnet.hub.cache import cache_root
from ghostnet.hub.verified_file import locked
from ghostnet.model.pipeline import Pipeline
from ghostnet.training.augment import Augment
from ghostnet.training.source import Order, Source, describe_broken
from ghostnet.training.teacher.network import BATCH_SIZE, Teacher

CENTER = 0
"""Number of the view that evaluation uses; the others are augmentations."""

ORIGIN = "made_from.json"
"""File that says what the answers beside it were made from."""

ADVICE = "name another folder for the cache with GHOSTNET_CACHE"

IndexedImage = tuple[int, Path | bytes]
"""The index of an image, and its file or bytes."""


class Answers:
    """A float16 array of (images, length) for each view, in the cache.

    A row is NaN until its answer is known, so that an interrupted run loses nothing. The folder is
    named by a hash of what the answers depend on, so that other runs with the same teacher, images
    and augmentation share them.

    Args:
        teacher: The teacher.
        source: The training images.
        augment: Their augmentation; the teacher sees the same crops and colors at its own size.
        seed: Seed of the augmentation.
        cache_dir: Root of the cache.
    """

    def __init__(
        self,
        teacher: Teacher,
        source: Source,
        augment: Augment,
        seed: int,
        cache_dir: str | Path | None = None,
    ) -> None:
        self.teacher = teacher
        self.source = source
        self.augment = augment
        self.seed = seed
        origin = json.dumps(self.origin, indent=2)
        key = hashlib.sha256(origin.encode()).hexdigest()
        self.folder = cache_root(cache_dir) / "teacher" / key
        self.views: dict[int, NDArray[np.float16]] = {}
        with raising(TrainingError, f"{self.folder}: cannot be written", ADVICE):
            write_whole(self.folder / ORIGIN, origin.encode())

    @cached_property
    def origin(self) -> dict[str, Any]:
        """What the answers depend on."""
        augment = asdict(self.augment)
        del augment["image_size"]
        return {
            "teacher": self.teacher.sha256,
            "output": self.teacher.output,
            "logarithm": self.teacher.gives_shares,
            "input": asdict(self.teacher.input),
            "augment": augment,
            "seed": self.seed,
            "images": len(self.source),
            "fingerprint": hashlib.sha256(self.source.hashes.tobytes()).hexdigest(),
        }

    def fill(
        self, view: int, order: Order, progress: Callable[[int, int], None] = lambda done, all: None
    ) -> None:
        """Compute the answers that are still missing.

        Args:
            view: Number of the view.
            order: Indices of the images.
            progress: Called with the number of known answers and the number of wanted ones.

        Raises:
            DatasetError: An image is broken.
            TrainingError: An answer is not finite, or the cache cannot be written.
        """
        array = self._open(view)
        order = np.sort(order, axis=None)
        missing = order[np.isnan(array[order, 0])]
        known = order.size - missing.size
        progress(known, order.size)
        if not missing.size:
            return
        pipeline = Pipeline(self.teacher, self._putter(view), self.teacher.input.blank, BATCH_SIZE)
        images: Iterator[IndexedImage] = self.source.images(missing)
        for (index, image), answer in pipeline.run(images):
            if isinstance(answer, ImageError):
                raise DatasetError(describe_broken(self.source, index, image, answer))
            array[index] = answer.values
            known += 1
            progress(known, order.size)

    def of(self, view: int, indices: Order) -> NDArray[np.float32]:
        """Return the (n, length) answers for images, which `fill` has computed."""
        return np.asarray(self._open(view)[indices], np.float32)

    def _putter(self, view: int) -> Callable[[IndexedImage, NDArray[Any]], None]:
        taken = self.teacher.input
        center = Preprocess(taken.size)

        def put(indexed: IndexedImage, place: NDArray[Any]) -> None:
            index, source = indexed
            image = decode(source)
            if view == CENTER:
                image = center.crop(image)
            else:
                generator = np.random.default_rng([self.seed, view, index])
                image = self.augment.draw(image.size, generator).render(image, taken.size)
            taken.put(image, place)

        return put

    def _open(self, view: int) -> NDArray[np.float16]:
        """Map the file of a view into memory; create it if needed."""
        if view not in self.views:
            path = self.folder / f"view{view}.npy"
            shape = len(self.source), self.teacher.length
            with raising(TrainingError, f"{path}: cannot be written", ADVICE):
                if not path.exists():
                    _make(path, shape)
                self.views[view] = np.load(path, mmap_mode="r+")
        return self.views[view]


def _make(path: Path, shape: tuple[int, int]) -> None:
    """Write an array of NaN, unless another worker is faster."""
    with locked(path.parent):
        if not path.exists():
            with replacing(path) as file:
                np.save(file, np.full(shape, np.nan, np.float16))
