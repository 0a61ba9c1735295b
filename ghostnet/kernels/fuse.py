"""`fuse`: from a GhostNet to a cell that answers the same, much faster, on a CPU."""

import threading
from collections.abc import Sequence
from typing import Any

import mindspore
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.dtype import TensorType

from ghostnet.errors import KernelError
from ghostnet.kernels import library
from ghostnet.kernels.pack import pack
from ghostnet.kernels.training import TrainableGhostNet
from ghostnet.network import GhostNet


class Forward(ops.Custom):
    """The operator: pictures, plan and weights to (batch, outputs) float32."""

    def __init__(self, outputs: int) -> None:
        def out_shape(pictures: Sequence[int], *_: Sequence[int]) -> list[int]:
            if len(pictures) != 4 or pictures[1] != 3 or 0 in pictures:
                shape = tuple(pictures)
                raise KernelError(f"pictures are (batch, 3, height, width), not {shape}")
            return [pictures[0], outputs]

        def out_dtype(pictures: Any, *_: Any) -> Any:
            if pictures != TensorType(mindspore.float32):
                raise KernelError(f"pictures are float32, not {pictures}; convert them (astype)")
            return pictures

        super().__init__(f"{library.PATH}:GhostNetForward", out_shape, out_dtype, "aot")
        self.outputs = outputs

    def __deepcopy__(self, memo: object) -> "Forward":
        return Forward(self.outputs)


def refuse_training(training: bool) -> None:
    """Raise `KernelError` for a cell in training."""
    if training:
        raise KernelError("a fused network cannot be trained; train the network it came from")


refuse_compiling = ops.constexpr(refuse_training)


_one_at_a_time = threading.Lock()
"""MindSpore mixes up the inputs of graphs that several threads run at once."""


class FusedGhostNet(nn.Cell):
    """A GhostNet for inference; made by `fuse`.

    (batch, 3, height, width) float32 becomes (batch, outputs) float32, as in the network that it
    was made from; later changes of that network's weights do not reach it. Anything else, and
    training, is a `KernelError`.

    Attributes:
        outputs: length of the logits, or of the features where they were asked for.
    """

    def __init__(self, network: GhostNet, *, features: bool = False) -> None:
        super().__init__()
        self.outputs = network.num_features if features else network.num_classes
        self.classify = not features
        packed = pack(network, self.classify)
        self.plan = Parameter(Tensor(packed.plan), name="plan", requires_grad=False)
        self.weights = Parameter(Tensor(packed.weights), name="weights", requires_grad=False)
        self.forward = Forward(self.outputs)
        self.set_train(False)

    def __call__(self, pictures: Tensor) -> Tensor:
        refuse_training(self.training)
        with _one_at_a_time:
            return self.construct(pictures)

    # Compiled in PyNative mode too, where an operator by itself copies its weights on every call.
    @mindspore.jit
    def construct(self, pictures: Tensor) -> Tensor:
        refuse_compiling(self.training)
        return self.forward(pictures, self.plan, self.weights)

    def refresh(self, network: GhostNet) -> None:
        """Take over the weights of a network of the same layers; the compiled graph stays."""
        packed = pack(network, self.classify)
        # `set_data` would not reach a graph that is compiled already.
        ops.assign(self.weights, Tensor(packed.weights))


def fuse(network: GhostNet, *, features: bool = False, training: bool = False) -> nn.Cell:
    """A cell with the same input and output as ``network``, for CPUs.

    Args:
        network: any variant, width and number of classes; in inference (``set_train(False)``)
            unless it is fused for training.
        features: leave the classifier out, as `GhostNet.features` does.
        training: a cell that shares the network's parameters, and whose gradients and moving
            statistics are those of ``network``; see docs/training_kernels.md.

    Raises:
        KernelError: the kernels are not available here, the network is in training, or it has a
            layer that they do not know.
        ValueError: features of a network in training.
    """
    reason = library.unavailable_reason()
    if reason is not None:
        raise KernelError(reason)
    if training:
        if features:
            raise ValueError("a network fused for training gives logits, not features")
        return TrainableGhostNet(network)
    refuse_training(network.training)
    return FusedGhostNet(network, features=features)
