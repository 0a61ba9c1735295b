"""A GhostNet as an ONNX model, written node by node.

MindSpore's own exporter fixes the batch size, keeps the batch norms and knows no hard swish; a
GhostNet has few kinds of layer, so writing them down is shorter than mending that.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from mindspore import nn
from numpy.typing import NDArray

import ghostnet.layers as layers
from ghostnet.export.metadata import INPUT, OUTPUT, PRODUCER, Metadata
from ghostnet.extras import needs
from ghostnet.network import GhostNet
from ghostnet.transforms import MEAN, STD

with needs("onnx", extra="export"):
    from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
"""Of ONNX 1.12 (2022): old enough for runtimes that are deployed, new enough for HardSigmoid."""


class Graph:
    """Nodes and constants; a tensor is called by the name of the node that makes it."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, operator: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Append a node; returns the name of its output, which is its own."""
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Append a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def cell(self, cell: nn.Cell, x: str, name: str) -> str:
        """Append what ``cell`` computes from ``x``; returns the name of its output."""
        return WRITERS[type(cell)](self, cell, x, name)

    def weights(self, cell: nn.Cell, name: str) -> tuple[str, str]:
        """Append the weight and bias of a layer, under their names in the checkpoint."""
        return (
            self.constant(f"{name}.weight", cell.weight.asnumpy()),
            self.constant(f"{name}.bias", cell.bias.asnumpy()),
        )


def _convolution(graph: Graph, cell: nn.Conv2d, x: str, name: str) -> str:
    return graph.add(
        "Conv",
        name,
        x,
        *graph.weights(cell, name),
        kernel_shape=cell.kernel_size,
        strides=cell.stride,
        pads=[cell.padding] * 4,
        group=cell.group,
    )


def _relu(graph: Graph, cell: nn.ReLU, x: str, name: str) -> str:
    return graph.add("Relu", name, x)


def _hard_sigmoid(graph: Graph, cell: layers.HardSigmoid, x: str, name: str) -> str:
    return graph.add("HardSigmoid", name, x, alpha=1 / 6, beta=0.5)


def _hard_swish(graph: Graph, cell: layers.HardSwish, x: str, name: str) -> str:
    return graph.add("Mul", name, x, graph.cell(cell.gate, x, f"{name}.gate"))


def _conv_unit(graph: Graph, cell: layers.ConvUnit, x: str, name: str) -> str:
    x = graph.cell(cell.conv, x, f"{name}.conv")
    return graph.cell(cell.act, x, f"{name}.act") if cell.act is not None else x


def _squeeze_excite(graph: Graph, cell: layers.SqueezeExcite, x: str, name: str) -> str:
    gate = graph.add("GlobalAveragePool", f"{name}.squeeze", x)
    for part in ("conv_reduce", "act", "conv_expand", "gate"):
        gate = graph.cell(getattr(cell, part), gate, f"{name}.{part}")
    return graph.add("Mul", name, x, gate)


def _ghost_module(graph: Graph, cell: layers.GhostModule, x: str, name: str) -> str:
    primary = graph.cell(cell.primary_conv, x, f"{name}.primary_conv")
    cheap = graph.cell(cell.cheap_operation, primary, f"{name}.cheap_operation")
    return graph.add("Concat", name, primary, cheap, axis=1)


def _bottleneck(graph: Graph, cell: layers.GhostBottleneck, x: str, name: str) -> str:
    y, shortcut = x, x
    for part in ("ghost1", "dw", "se", "ghost2"):
        if getattr(cell, part) is not None:
            y = graph.cell(getattr(cell, part), y, f"{name}.{part}")
    if cell.shortcut is not None:
        shortcut = graph.cell(cell.shortcut, x, f"{name}.shortcut")
    return graph.add("Add", name, shortcut, y)


def _sequence(graph: Graph, cell: nn.SequentialCell, x: str, name: str) -> str:
    for index, part in enumerate(cell):
        x = graph.cell(part, x, f"{name}.{index}")
    return x


WRITERS: dict[type, Callable[[Graph, Any, str, str], str]] = {
    nn.Conv2d: _convolution,
    nn.ReLU: _relu,
    nn.SequentialCell: _sequence,
    layers.HardSigmoid: _hard_sigmoid,
    layers.HardSwish: _hard_swish,
    layers.ConvUnit: _conv_unit,
    layers.SqueezeExcite: _squeeze_excite,
    layers.GhostModule: _ghost_module,
    layers.GhostBottleneck: _bottleneck,
}


def _normalise(graph: Graph, x: str) -> str:
    """(batch, height, width, 3) uint8 to (batch, 3, height, width) float32, normalised."""
    x = graph.add("Cast", "as_float", x, to=TensorProto.FLOAT)
    x = graph.add("Transpose", "channels_first", x, perm=[0, 3, 1, 2])
    scale = graph.constant("normalise.scale", (1 / (255 * STD)).reshape(1, 3, 1, 1))
    shift = graph.constant("normalise.shift", (-MEAN / STD).reshape(1, 3, 1, 1))
    x = graph.add("Mul", "scaled", x, scale)
    return graph.add("Add", "normalised", x, shift)


def onnx_model(network: GhostNet, metadata: Metadata, batch: int | None) -> ModelProto:
    """The ONNX model of a network that `ghostnet.export.fold.fold` made.

    Args:
        network: without batch norms, in inference state.
        metadata: kept in the model; decides the shape and dtype of its input.
        batch: pictures in a batch, or None for any number.
    """
    graph = Graph()
    x = _normalise(graph, INPUT) if metadata.with_preprocessing else INPUT
    for name in ("conv_stem", "act", "blocks"):
        x = graph.cell(getattr(network, name), x, name)
    x = graph.add("GlobalAveragePool", "pool", x)
    x = graph.cell(network.conv_head, x, "conv_head")
    x = graph.cell(network.act, x, "act_head")
    x = graph.add("Flatten", "features", x)
    graph.add("Gemm", OUTPUT, x, *graph.weights(network.classifier, "classifier"), transB=1)

    kind = TensorProto.UINT8 if metadata.with_preprocessing else TensorProto.FLOAT
    length = "batch" if batch is None else batch
    picture = helper.make_tensor_value_info(INPUT, kind, [length, *metadata.shape])
    logits = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [length, network.num_classes])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "GhostNet", [picture], [logits], graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name=PRODUCER,
    )
    helper.set_model_props(model, metadata.as_properties())
    checker.check_model(model, full_check=True)
    return model
