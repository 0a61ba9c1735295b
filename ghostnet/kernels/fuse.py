"""`fuse`: from a GhostNet to a cell that answers the same, much faster."""

import threading

import mindspore
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from ghostnet.errors import KernelError
from ghostnet.kernels.devices import DEVICES, Device, unavailable_reason
from ghostnet.kernels.training import TrainableGhostNet
from ghostnet.network import GhostNet
from ghostnet.runtime import current_device


def refuse_training(training: bool) -> None:
    """Raise `KernelError` for a cell in training."""
    if training:
        raise KernelError("a fused network cannot be trained; train the network it came from")


refuse_compiling = ops.constexpr(refuse_training)


_one_at_a_time = threading.Lock()
"""MindSpore mixes up the inputs of graphs that several threads run at once, and the CPU operator
adds in another order where it does not have all its threads."""


class FusedGhostNet(nn.Cell):
    """A GhostNet for inference; made by `fuse`.

    (batch, 3, height, width) becomes (batch, outputs), as in the network that it was made from:
    float32, and on a GPU float16 too, with sums in float32. Later changes of that network's weights
    do not reach it. Anything else, and training, is a `KernelError`.

    In the graph of another cell it is one operator. A call from Python goes to the operator of a
    CPU directly, since MindSpore takes a few tenths of a millisecond to run a graph; `construct` is
    that graph.

    Attributes:
        outputs: length of the logits, or of the features where they were asked for.
    """

    def __init__(self, network: GhostNet, device: Device, *, features: bool = False) -> None:
        super().__init__()
        self.outputs = network.num_features if features else network.num_classes
        self.classify = not features
        self.device = device
        self.weights = ParameterTuple(
            Parameter(Tensor(values), name=f"weights.{index}", requires_grad=False)
            for index, values in enumerate(device.pack(network, self.classify))
        )
        self.forward = device.forward(network, self.outputs)
        self.set_train(False)

    def __call__(self, pictures: Tensor) -> Tensor:
        refuse_training(self.training)
        with _one_at_a_time:
            if self.device.run is not None:
                return self.device.run(pictures, self.weights, self.outputs)
            return self.construct(pictures)

    # Compiled in PyNative mode too, where an operator by itself copies its weights on every call.
    @mindspore.jit
    def construct(self, pictures: Tensor) -> Tensor:
        refuse_compiling(self.training)
        return self.forward(pictures, *self.weights)

    def refresh(self, network: GhostNet) -> None:
        """Take over the weights of a network of the same layers; the compiled graph stays."""
        packed = self.device.pack(network, self.classify)
        for parameter, values in zip(self.weights, packed, strict=True):
            # `set_data` would not reach a graph that is compiled already.
            ops.assign(parameter, Tensor(values))
        mindspore.runtime.synchronize()  # a call reads the weights where they lie


def fuse(network: GhostNet, *, features: bool = False, training: bool = False) -> nn.Cell:
    """A cell with the same input and output as ``network``, for MindSpore's device.

    Args:
        network: any variant, width and number of classes; in inference (``set_train(False)``)
            unless it is fused for training.
        features: leave the classifier out, as `GhostNet.features` does.
        training: a cell that shares the network's parameters, and whose gradients and moving
            statistics are those of ``network``; on CPUs, see docs/training_kernels.md.

    Raises:
        KernelError: the kernels are not available here, the network is in training, or it has a
            layer that they do not know.
        ValueError: features of a network in training.
    """
    reason = unavailable_reason(training)
    if reason is not None:
        raise KernelError(reason)
    if training:
        if features:
            raise ValueError("a network fused for training gives logits, not features")
        return TrainableGhostNet(network)
    refuse_training(network.training)
    return FusedGhostNet(network, DEVICES[current_device()], features=features)
