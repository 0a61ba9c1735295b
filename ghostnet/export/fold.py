"""A network without batch norms, for the formats that deployment runs."""

import copy

from mindspore import Parameter, Tensor, nn

from ghostnet.errors import ExportError
from ghostnet.kernels.pack import folded
from ghostnet.layers import ConvUnit
from ghostnet.network import GhostNet


def fold(network: GhostNet) -> GhostNet:
    """A copy for inference, every batch norm folded into the convolution before it.

    Raises:
        ExportError: not a `GhostNet`; a fused one no longer has the layers to write.
    """
    if not isinstance(network, GhostNet):
        raise ExportError(
            f"only a GhostNet can be exported, not a {type(network).__name__}; "
            "export the network before fusing it"
        )
    result = copy.deepcopy(network)
    result.set_train(False)
    _fold_pair(result, "conv_stem", "bn1")
    for _, cell in result.cells_and_names():
        if isinstance(cell, ConvUnit):
            _fold_pair(cell, "conv", "bn")
    return result


def _fold_pair(owner: nn.Cell, convolution: str, norm: str) -> None:
    conv = getattr(owner, convolution)
    layer = folded(conv, getattr(owner, norm))
    conv.weight.set_data(Tensor(layer.weights))
    conv.has_bias = True
    name = conv.weight.name.removesuffix("weight") + "bias"
    conv.bias = Parameter(Tensor(layer.bias), name=name)
    setattr(owner, norm, nn.Identity())
