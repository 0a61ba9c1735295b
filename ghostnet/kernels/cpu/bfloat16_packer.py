"""The layers of a network in bfloat16 as the CPU kernels read them."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from ghostnet.checkpoints.folding import Array, FoldedLayer, fold
from ghostnet.kernels.cpu import library
from ghostnet.kernels.cpu.packer import Packer
from ghostnet.models.specs import LayerSpec


class Bfloat16Packer(Packer):
    """Packs the layers of a network in bfloat16 where they gain from it.

    Args:
        parameters: Arrays by released name.
    """

    gate_format = "bfloat16"
    head_format = "bfloat16"

    def __init__(self, parameters: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(parameters, {})

    def stem(self, layer: LayerSpec) -> list[Array]:
        """Pack the first convolution, which is in float32."""
        folded = fold(layer, self.parameters)
        return [library.packed_pointwise(folded.matrix), folded.bias]

    def _pointwise(self, name: str, layer: FoldedLayer) -> list[Array]:
        if library.is_faster_in_bfloat16(len(layer.bias)):
            return [library.packed_bfloat16(layer.matrix), layer.bias]
        return super()._pointwise(name, layer)
