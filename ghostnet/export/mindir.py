"""A GhostNet as MindIR, MindSpore's own graph format."""

import tempfile
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn
from mindspore.train.mind_ir_pb2 import ModelProto

from ghostnet.export.metadata import Metadata
from ghostnet.network import GhostNet
from ghostnet.transforms import MEAN, STD


class Normalised(nn.Cell):
    """A network with its normalisation: (batch, height, width, 3) uint8 to logits."""

    def __init__(self, network: GhostNet) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.scale = Tensor((1 / (255 * STD)).reshape(1, 3, 1, 1))
        self.shift = Tensor((-MEAN / STD).reshape(1, 3, 1, 1))

    def construct(self, pictures: Tensor) -> Tensor:
        x = pictures.astype(ms.float32).transpose(0, 3, 1, 2)
        return self.network(x * self.scale + self.shift)


def mindir_model(network: GhostNet, metadata: Metadata, batch: int | None) -> ModelProto:
    """The MindIR model of a network that `ghostnet.export.fold.fold` made.

    Arguments as in `ghostnet.export.onnx_graph.onnx_model`; the metadata is in ``user_info``.
    """
    cell = Normalised(network) if metadata.with_preprocessing else network
    dtype = ms.uint8 if metadata.with_preprocessing else ms.float32
    pictures = Tensor(shape=(batch, *metadata.shape), dtype=dtype)
    if batch is not None:
        pictures = Tensor(np.zeros(pictures.shape), dtype)
    with tempfile.TemporaryDirectory(prefix="ghostnet-") as folder:
        path = Path(folder) / "ghostnet.mindir"
        ms.export(cell.set_train(False), pictures, file_name=str(path), file_format="MINDIR")
        model = ModelProto.FromString(path.read_bytes())
    for name, text in metadata.as_properties().items():
        model.user_info[name] = text
    return model
