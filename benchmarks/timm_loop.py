"""The loop that users of timm write: its transform in PyTorch's loader, then its network."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

Batches = Callable[[list[Path]], Iterator[Any]]
"""Yields the network's answer to each batch of files, as a tensor."""


def timm_batches(classes: int, side: int, batch_size: int) -> Batches:
    """Return timm's loop with ghostnet_100.

    Args:
        classes: Classes of the network; 0 for the features before its classifier.
        side: Height and width of the images for the network, in pixels.
        batch_size: Images per call of the network.
    """
    import timm
    import torch
    from timm.data import create_transform
    from torch.utils.data import DataLoader, Dataset

    network = timm.create_model("ghostnet_100", num_classes=classes).eval()
    transform = create_transform(side, interpolation="bicubic", crop_pct=0.875)

    class Photographs(Dataset[Any]):
        def __init__(self, files: list[Path]) -> None:
            self.files = files

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, index: int) -> Any:
            return transform(Image.open(self.files[index]).convert("RGB"))

    def batches(files: list[Path]) -> Iterator[Any]:
        workers = len(os.sched_getaffinity(0))
        with torch.inference_mode():
            for batch in DataLoader(Photographs(files), batch_size, num_workers=workers):
                yield network(batch)

    return batches
