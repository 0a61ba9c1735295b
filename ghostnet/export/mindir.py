"""A network as MindIR, MindSpore's own graph format."""

import copy
import tempfile
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn
from mindspore.train.mind_ir_pb2 import ModelProto

from ghostnet.checkpoints.cells import merge_branches, parameters_of
from ghostnet.checkpoints.folding import fold
from ghostnet.data.transforms import MEAN, STD
from ghostnet.errors import ExportError
from ghostnet.export.metadata import Metadata
from ghostnet.models.classification import ClassificationNetwork


class Normalized(nn.Cell):
    """A network with its normalization: (batch, height, width, 3) uint8 to logits."""

    def __init__(self, network: nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.scale = Tensor((1 / (255 * STD)).reshape(1, 3, 1, 1))
        self.shift = Tensor((-MEAN / STD).reshape(1, 3, 1, 1))

    def construct(self, images: Tensor) -> Tensor:
        x = images.astype(ms.float32).transpose(0, 3, 1, 2)
        return self.network(x * self.scale + self.shift)


def folded_network(network: ClassificationNetwork) -> ClassificationNetwork:
    """Copy a network for inference: branches merged, and every batch norm in its convolution."""
    result: ClassificationNetwork = copy.deepcopy(merge_branches(network))
    parameters = parameters_of(result)
    result.set_train(False)
    cells = dict(result.cells_and_names())
    for layer in result.spec.layers():
        if layer.norm is None:
            continue
        folded = fold(layer, parameters)
        convolution = cells[layer.name]
        convolution.weight.set_data(Tensor(folded.weight))
        convolution.has_bias = True
        convolution.bias = Parameter(Tensor(folded.bias), name=f"{layer.name}.bias")
        owner, _, attribute = layer.norm.rpartition(".")
        replace_child(cells[owner], attribute, nn.Identity())
    return result


def replace_child(cell: nn.Cell, name: str, child: nn.Cell) -> None:
    """Replace a cell inside another, which may be a chain that counts its cells."""
    if isinstance(cell, nn.SequentialCell):
        cell[int(name)] = child
    else:
        setattr(cell, name, child)


def mindir_model(
    network: ClassificationNetwork, metadata: Metadata, batch: int | None
) -> ModelProto:
    """Build the MindIR model of a network; the metadata is in ``user_info``.

    Args:
        network: Not fused; it is not changed.
        metadata: Kept in the model; decides the shape and dtype of its input.
        batch: Images in a batch, or None for any number.

    Raises:
        ExportError: The network has attention, or is to take images of any size.
    """
    if metadata.any_size:
        raise ExportError(
            "a MindIR file takes images of one size; name it, or export the network to ONNX"
        )
    if network.architecture.attends:
        raise ExportError(
            "MindSpore does not run a MindIR file of a network with the attention of GhostNetV2 "
            "and V3; export the network to ONNX"
        )
    folded = folded_network(network)
    cell = Normalized(folded) if metadata.with_preprocessing else folded
    dtype = ms.uint8 if metadata.with_preprocessing else ms.float32
    images = Tensor(shape=(batch, *metadata.shape), dtype=dtype)
    if batch is not None:
        images = Tensor(np.zeros(images.shape), dtype)
    with tempfile.TemporaryDirectory(prefix="ghostnet-") as folder:
        path = Path(folder) / "ghostnet.mindir"
        ms.export(cell.set_train(False), images, file_name=str(path), file_format="MINDIR")
        model = ModelProto.FromString(path.read_bytes())
    for name, text in metadata.as_properties().items():
        model.user_info[name] = text
    return model
