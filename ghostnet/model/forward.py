"""What computes the forward pass of a model: the fused CPU kernels, or MindSpore."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ghostnet import kernels, runtime
from ghostnet.checkpoints import Parameters
from ghostnet.errors import KernelError
from ghostnet.kernels.cpu.library import Dtype
from ghostnet.models import Architecture

if TYPE_CHECKING:
    from mindspore import nn

    from ghostnet.models.classification import ClassificationNetwork

Forward: TypeAlias = Callable[[NDArray[Any]], NDArray[np.float32]]
"""Maps a batch of preprocessed images to (batch, outputs)."""


class Weights(Protocol):
    """A network with its weights: what a forward pass needs of a `ghostnet.model.Model`."""

    @property
    def architecture(self) -> Architecture:
        """Its table."""

    @property
    def parameters(self) -> Parameters:
        """Arrays by released name."""

    @property
    def network(self) -> "ClassificationNetwork":
        """The MindSpore network, in inference state."""


def open_forward(
    model: Weights, *, fused: bool = True, features: bool = False, dtype: Dtype = "float32"
) -> "kernels.Session | MindSporeForward":
    """Choose what computes the forward pass of a model.

    Args:
        model: The network and its weights, such as a `ghostnet.model.Model`.
        fused: Use the fused kernels where they can run the network.
        features: Return the features that the classifier reads, rather than the logits.
        dtype: As of `ghostnet.kernels.Session`; only the fused CPU kernels have another than
            float32.

    Raises:
        KernelError: Another dtype than float32 is not available.
    """
    on_cpu = runtime.current_device() == "CPU"
    if dtype != "float32" or (fused and on_cpu and kernels.available(model.architecture)):
        if not on_cpu:
            raise KernelError(f"the dtype {dtype} is for CPUs; leave it out, or run on a CPU")
        weights = model.architecture, model.parameters
        return kernels.Session(*weights, features=features, dtype=dtype)
    return MindSporeForward(model, fused=fused, features=features)


class MindSporeForward:
    """The forward pass of a model in MindSpore, fused where the device has kernels.

    Args:
        model: The network and its weights, such as a `ghostnet.model.Model`.
        fused: Use the fused kernels where they are available.
        features: Return the features that the classifier reads, rather than the logits.
    """

    def __init__(self, model: Weights, *, fused: bool, features: bool) -> None:
        runtime.start_mindspore()
        from ghostnet.kernels.fused_network import fuse, fuse_if_possible
        from ghostnet.models.network import HeadFeatures

        self.model = model
        self.cell: nn.Cell
        if fused and kernels.available(model.architecture):
            self.cell = fuse(model.network, features=features)
        else:
            network = fuse_if_possible(model.network) if fused else model.network
            self.cell = HeadFeatures(network) if features else network

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Run a batch."""
        import mindspore as ms

        outputs: NDArray[np.float32] = self.cell(ms.Tensor.from_numpy(images)).asnumpy()
        return outputs

    def refresh(self, parameters: Mapping[str, NDArray[Any]]) -> None:
        """Replace the parameters by others of the same shapes; the model's network gets them."""
        from ghostnet.checkpoints.cells import load_parameters
        from ghostnet.kernels.fused_network import FusedGhostNet

        load_parameters(self.model.network, parameters)
        if isinstance(self.cell, FusedGhostNet):
            self.cell.refresh(self.model.network)
