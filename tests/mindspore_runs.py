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


def train(
    optimizer: str, wrappers: int, folder: Path, *settings: dict[str, object]
) -> tuple[GhostNet, list[Path]]:
    """Train a GhostNet for a step; returns it and a file of `ModelCheckpoint` for each settings."""
    network = create_network("ghostnet_050", 3)
    cell: nn.Cell = network
    for _ in range(wrappers):
        cell = Classifier(cell)
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    labels = np.array([[0], [2]], np.int32)  # MindSpore 2.10 with NumPy 2 takes no scalars
    rows = GeneratorDataset([*zip(images, labels, strict=True)], ["x", "y"])
    rows = rows.map(np.squeeze, "y")
    model = Model(
        cell,
        nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean"),
        OPTIMIZERS[optimizer](cell),
        loss_scale_manager=ms.FixedLossScaleManager(drop_overflow_update=False),
    )
    info = ["epoch_num", "step_num", {"note": 1.5}]
    configs = [
        CheckpointConfig(save_checkpoint_steps=1, append_info=info, **each) for each in settings
    ]
    folders = [folder / str(index) for index in range(len(configs))]
    callbacks = [
        ModelCheckpoint("run", str(to), config) for to, config in zip(folders, configs, strict=True)
    ]
    model.train(1, rows.batch(2), callbacks, dataset_sink_mode=False)
    return network, [next(to.glob("run-1_1.*")) for to in folders]
