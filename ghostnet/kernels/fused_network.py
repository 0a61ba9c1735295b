"""Fuse a MindSpore network: a cell with the same answers, many times faster."""

import warnings
from collections.abc import Sequence
from typing import Any

import mindspore
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops
from mindspore.common.dtype import TensorType
from mindspore.graph.api import _pynative_executor

from ghostnet import runtime
from ghostnet.checkpoints import Parameters
from ghostnet.checkpoints.cells import altered_layer, parameters_of
from ghostnet.errors import KernelError
from ghostnet.kernels.cpu.forward import check_dtype, refuse_gradient
from ghostnet.kernels.cpu.library import Dtype
from ghostnet.kernels.cpu.training import TRAINABLE
from ghostnet.kernels.devices import DEVICES, Device, unavailable_reason
from ghostnet.models import Architecture, network_spec
from ghostnet.models.classification import ClassificationNetwork
from ghostnet.models.specs import NetworkSpec
from ghostnet.models.turns import MINDSPORE


def refuse_training(training: bool) -> None:
    """Refuse a cell in training.

    Raises:
        KernelError: ``training`` is True.
    """
    if training:
        raise KernelError("a fused network cannot be trained; train the network it came from")


refuse_compiling = ops.constexpr(refuse_training)


class FusedGhostNet(nn.Cell):
    """A network for inference, made by `fuse`.

    Maps (batch, 3, height, width) to (batch, outputs), as the network that it was made from does:
    float32, and on a GPU also float16 with sums in float32. Later changes of that network's weights
    do not reach it. Any other input, and training, is a `KernelError`.

    In the graph of another cell it is one operator. On a CPU, a call from Python goes to a
    `ghostnet.kernels.Session`, since MindSpore takes a few tenths of a millisecond to run a graph.

    Attributes:
        outputs: Length of the logits or features.
    """

    def __init__(
        self,
        network: ClassificationNetwork,
        device: Device,
        *,
        features: bool = False,
        dtype: Dtype = "float32",
    ) -> None:
        super().__init__()
        architecture, parameters = network.architecture, parameters_of(network)
        self.outputs = network.num_features if features else network.num_classes
        self.features = features
        self.layers = self._layers(network)
        self.device = device
        self.session = (
            device.session(architecture, parameters, features=features, dtype=dtype)
            if device.session
            else None
        )
        packed = self._packed(architecture, parameters)
        self.weights = ParameterTuple(
            Parameter(Tensor(values), name=f"weights.{index}", requires_grad=False)
            for index, values in enumerate(packed)
        )
        self.forward = device.operator(architecture, self.outputs)
        self.set_train(False)

    def __call__(self, images: Tensor) -> Tensor:
        refuse_training(self.training)
        if self.session is None:
            with MINDSPORE.lock:
                return self.construct(images)
        if _pynative_executor.requires_grad():
            refuse_gradient()
        if not isinstance(images, Tensor):
            raise KernelError(f"the images are a {type(images).__name__}; pass a MindSpore tensor")
        if images.dtype != mindspore.float32:
            check_dtype(TensorType(images.dtype), mindspore.float32)
        return Tensor.from_numpy(self.session(images.asnumpy()))

    # Compiled in PyNative mode too, where an operator by itself copies its weights on every call.
    @mindspore.jit
    def construct(self, images: Tensor) -> Tensor:
        refuse_compiling(self.training)
        return self.forward(images, *self.weights)

    def refresh(self, network: ClassificationNetwork) -> None:
        """Copy the weights of a network with the same layers; compiled graphs stay valid.

        Raises:
            KernelError: The network has other layers; this one is unchanged.
        """
        if altered_layer(network) or self._layers(network) != self.layers:
            raise KernelError(
                "the network has other layers or another number of classes than the one that was "
                "fused; fuse it instead: fuse(network)"
            )
        parameters = parameters_of(network)
        if self.session:
            self.session.refresh(parameters)
        packed = self._packed(network.architecture, parameters)
        for parameter, values in zip(self.weights, packed, strict=True):
            # `set_data` would not reach a graph that is compiled already.
            ops.assign(parameter, Tensor(values))
        mindspore.runtime.synchronize()  # a call reads the weights where they lie

    def _layers(self, network: ClassificationNetwork) -> NetworkSpec:
        """Return the layers that the kernels run of a network; with features, any classifier."""
        outputs = network.num_features if self.features else network.num_classes
        return network_spec(network.architecture, outputs)

    def _packed(self, architecture: Architecture, parameters: Parameters) -> Sequence[Any]:
        """Return the packed arrays: the session's own, or packed for the device."""
        if self.session:
            return self.session.packed
        return self.device.pack(architecture, parameters, features=self.features)


def fuse(
    network: ClassificationNetwork,
    *,
    features: bool = False,
    training: bool = False,
    dtype: Dtype = "float32",
) -> nn.Cell:
    """Fuse a network for MindSpore's device.

    Args:
        network: Any variant, width and number of classes, in inference state
            (``set_train(False)``) unless it is fused for training.
        features: Return the features that the classifier reads, as the network's ``features`` does.
        training: Return a cell for training that shares the network's parameters and gives its
            gradients and moving statistics; CPU only.
        dtype: ``bfloat16`` rounds the weights and the pixels of pointwise convolutions to 8
            significant bits, and the weights of dense layers, on a CPU with AVX512_BF16; ``int8``
            those of wide pointwise convolutions to 8 bits, with VNNI, or dotprod on ARM. Both are
            faster and less exact.

    Returns:
        A cell with the input and output of ``network``.

    Raises:
        KernelError: The kernels are not available, the network is in training, it has a layer that
            they do not know, or the processor does not have the dtype.
        ValueError: Features or another dtype of a network in training were asked for.

    Examples:
        >>> fast = fuse(ghostnet_1x(num_classes=37).set_train(False))
        >>> fast(Tensor(np.zeros((1, 3, 224, 224), np.float32))).shape
        (1, 37)
    """
    reason = _unavailable_reason(network, training)
    if reason is not None:
        raise KernelError(reason)
    if training:
        if features:
            raise ValueError("a network is fused for training or for its features, not for both")
        if dtype != "float32":
            raise ValueError(f"a network is trained in float32, not in {dtype!r}")
        return TRAINABLE[network.architecture.family](network)
    refuse_training(network.training)
    device = DEVICES[runtime.current_device()]
    if device.session is None and dtype != "float32":
        raise KernelError(f"this device has kernels in float32, not in {dtype!r}")
    return FusedGhostNet(network, device, features=features, dtype=dtype)


def fuse_if_possible(network: ClassificationNetwork) -> nn.Cell:
    """Fuse a network that the kernels can run; warn about any other and return it.

    Args:
        network: In inference state.
    """
    reason = _unavailable_reason(network)
    if reason is None:
        return fuse(network)
    warnings.warn(f"the plain graph runs, many times slower: {reason}", stacklevel=2)
    return network


def _unavailable_reason(network: ClassificationNetwork, training: bool = False) -> str | None:
    """Say why a network cannot be fused, None where it can; a changed layer is a reason."""
    reason = unavailable_reason(training, network.architecture)
    if reason is None and (altered := altered_layer(network, up_to_features=training)):
        return (
            f"the network was changed at {altered}, which the kernels do not know; run the network "
            "itself, without fusing it"
        )
    return reason
