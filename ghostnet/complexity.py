"""Parameters and multiply-adds of a built network, counted rather than looked up.

Convention: one multiply-add for each product in a convolution or dense layer, squeeze-excite's
included; batch norm, activations, pooling and additions are not counted. The hub's cards and the
paper call this number FLOPs.
"""

from typing import Any, NamedTuple

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn


class Complexity(NamedTuple):
    """Trainable parameters, and multiply-adds for one picture."""

    parameters: int
    multiply_adds: int


def complexity(network: nn.Cell, image_size: int) -> Complexity:
    """Count by running the network once, cell by cell, on a blank picture.

    Args:
        network: any network of pictures, (batch, 3, height, width).
        image_size: height and width of the picture in pixels.
    """
    multiply_adds = 0

    def count(cell: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal multiply_adds
        products_per_value = cell.weight.size // cell.weight.shape[0]
        multiply_adds += output.size * products_per_value

    layers = [c for _, c in network.cells_and_names() if isinstance(c, nn.Conv2d | nn.Dense)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    mode = ms.get_context("mode")
    training = network.training
    ms.set_context(mode=ms.PYNATIVE_MODE)
    try:
        network.set_train(False)
        network(Tensor(np.zeros((1, 3, image_size, image_size), np.float32)))
    finally:
        network.set_train(training)
        ms.set_context(mode=mode)
        for hook in hooks:
            hook.remove()
    return Complexity(sum(p.size for p in network.trainable_params()), multiply_adds)
