"""Checkpoints that MindSpore's own callback writes in a training run of one step."""

from collections.abc import Callable
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn
from mindspore.dataset import GeneratorDataset
from mindspore.train import CheckpointConfig, Model, ModelCheckpoint

from ghostnet.models import GhostNet, create_network


class Classifier(nn.Cell):
    """A network in a cell of its own, which puts a prefix before its parameters."""

    def __init__(self, backbone: nn.Cell) -> None:
        super().__init__()
        self.backbone = backbone

    def construct(self, images: ms.Tensor) -> ms.Tensor:
        return self.backbone(images)


OPTIMIZERS: dict[str, Callable[[nn.Cell], nn.Optimizer]] = {
    "Momentum": lambda cell: nn.Momentum(cell.trainable_params(), 0.1, 0.9),
    "Adam": lambda cell: nn.Adam(cell.trainable_params(), nn.cosine_decay_lr(0.0, 0.1, 4, 2, 2)),
    "SGD of statistics too": lambda cell: nn.SGD(
        list(cell.get_parameters()), nn.piecewise_constant_lr([1, 2], [0.1, 0.01]), momentum=0.9
    ),
}


def train(optimizer: str, wrappers: int, folder: Path, **settings: object) -> tuple[GhostNet, Path]:
    """Train a GhostNet for a step; returns it and what `ModelCheckpoint` wrote."""
    network = create_network("ghostnet_050", 3)
    cell: nn.Cell = network
    for _ in range(wrappers):
        cell = Classifier(cell)
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    labels = np.array([[0], [2]], np.int32)  # MindSpore 2.10 with NumPy 2 takes no scalars
    rows = GeneratorDataset([*zip(images, labels, strict=True)], ["x", "y"])
    rows = rows.map(np.squeeze, "y")
    config = CheckpointConfig(
        save_checkpoint_steps=1, append_info=["epoch_num", "step_num", {"note": 1.5}], **settings
    )
    model = Model(
        cell,
        nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean"),
        OPTIMIZERS[optimizer](cell),
        loss_scale_manager=ms.FixedLossScaleManager(drop_overflow_update=False),
    )
    callback = ModelCheckpoint("run", str(folder), config)
    model.train(1, rows.batch(2), [callback], dataset_sink_mode=False)
    return network, next(folder.glob("run-1_1.*"))
