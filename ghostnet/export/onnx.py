"""A network as an ONNX model, written node by node.

Our own, because MindSpore's exporter fixes the batch size, keeps the batch norms and has no hard
swish.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints import count_classes
from ghostnet.checkpoints.folding import fold
from ghostnet.data.transforms import MEAN, STD
from ghostnet.export.metadata import INPUT, OUTPUT, PRODUCER, Metadata
from ghostnet.models import Architecture, LayerSpec, network_spec
from ghostnet.models.architectures import Activation, Upsampling
from ghostnet.models.specs import (
    AttentionSpec,
    BlockSpec,
    BottleneckSpec,
    GhostModuleSpec,
    InvertedResidualSpec,
    SqueezeExciteSpec,
)
from ghostnet.packages import needs

with needs("onnx", extra="export"):
    from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

OPSET = 13
IR_VERSION = 7
"""Versions of ONNX 1.8 (2020), the first that can quantize the weights channel by channel."""


RESIZE: Mapping[Upsampling, Mapping[str, str]] = {
    "nearest": {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    },
    "bilinear": {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
}
"""Attributes of the operator that enlarges the gates of an attention."""


class Graph:
    """Nodes and constants; a tensor has the name of the node that makes it.

    Args:
        parameters: Arrays of the network, by released name.
    """

    def __init__(self, parameters: Mapping[str, NDArray[Any]]) -> None:
        self.parameters = parameters
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, operator: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Append a node; returns the name of its output, which is its own."""
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Append a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def scalar(self, name: str, value: float) -> str:
        """Append a float32 constant without dimensions; returns its name."""
        return self.constant(name, np.array(value, np.float32))

    def weights(self, layer: LayerSpec) -> tuple[str, str]:
        """Append the folded weight and bias of a layer; returns their names."""
        folded = fold(layer, self.parameters)
        return (
            self.constant(f"{layer.name}.weight", folded.weight),
            self.constant(f"{layer.name}.bias", folded.bias),
        )

    def activation(self, activation: Activation | None, x: str, name: str) -> str:
        """Append an activation, if there is one."""
        if activation == "relu":
            return self.add("Relu", name, x)
        if activation == "hard_swish":
            return self.add("Mul", name, x, self.hard_sigmoid(x, f"{name}.gate"))
        if activation == "relu6":
            return self.relu6(x, name)
        return x

    def relu6(self, x: str, name: str) -> str:
        """Append ``min(max(x, 0), 6)``."""
        low = self.scalar(f"{name}.low", 0)
        return self.add("Clip", name, x, low, self.scalar(f"{name}.high", 6))

    def hard_sigmoid(self, x: str, name: str) -> str:
        """Append ``relu6(x + 3) / 6``.

        The operator HardSigmoid is avoided because OpenCV ignores its slope.
        """
        x = self.add("Add", f"{name}.shifted", x, self.scalar(f"{name}.three", 3))
        x = self.relu6(x, f"{name}.clipped")
        return self.add("Mul", name, x, self.scalar(f"{name}.sixth", 1 / 6))

    def convolution(self, layer: LayerSpec, x: str) -> str:
        """Append a convolution with its activation."""
        x = self.add(
            "Conv",
            layer.name,
            x,
            *self.weights(layer),
            kernel_shape=layer.kernel_shape,
            strides=[layer.stride] * 2,
            pads=[size // 2 for size in layer.kernel_shape] * 2,
            group=layer.in_channels if layer.kind == "depthwise" else 1,
        )
        return self.activation(layer.activation, x, f"{layer.name}.act")

    def ghost_module(self, module: GhostModuleSpec, x: str, name: str) -> str:
        """Append a Ghost module."""
        primary = self.convolution(module.primary, x)
        y = self.convolution(module.cheap, primary)
        if module.is_concatenated:
            y = self.add("Concat", name, primary, y, axis=1)
        return self.attention(module.attention, x, y) if module.attention else y

    def attention(self, spec: AttentionSpec, x: str, y: str) -> str:
        """Append GhostNetV2's attention: gates computed from ``x`` scale ``y``."""
        gates = self.add("AveragePool", f"{y}.pool", x, kernel_shape=[2, 2], strides=[2, 2])
        for layer in (spec.pointwise, spec.horizontal, spec.vertical):
            gates = self.convolution(layer, gates)
        gates = self.add("Sigmoid", f"{y}.gates", gates)
        size = self.add("Shape", f"{y}.shape", y)
        gates = self.add("Resize", f"{y}.resized", gates, "", "", size, **RESIZE[spec.upsampling])
        return self.add("Mul", f"{y}.gated", y, gates)

    def squeeze_excite(self, spec: SqueezeExciteSpec, x: str, name: str) -> str:
        """Append squeeze-excite."""
        gate = self.add("GlobalAveragePool", f"{name}.squeeze", x)
        gate = self.convolution(spec.expand, self.convolution(spec.reduce, gate))
        return self.add("Mul", name, x, self.hard_sigmoid(gate, f"{name}.gate"))

    def bottleneck(self, spec: BottleneckSpec, x: str) -> str:
        """Append a Ghost bottleneck."""
        y = self.ghost_module(spec.ghost1, x, f"{spec.name}.ghost1")
        if spec.downsample:
            y = self.convolution(spec.downsample, y)
        if spec.squeeze_excite:
            y = self.squeeze_excite(spec.squeeze_excite, y, f"{spec.name}.se")
        y = self.ghost_module(spec.ghost2, y, f"{spec.name}.ghost2")
        if spec.shortcut:
            x = self.convolution(spec.shortcut.depthwise, x)
            x = self.convolution(spec.shortcut.pointwise, x)
        return self.add("Add", spec.name, x, y)

    def inverted_residual(self, spec: InvertedResidualSpec, x: str) -> str:
        """Append an inverted residual."""
        y = self.convolution(spec.expansion, x) if spec.expansion else x
        y = self.convolution(spec.projection, self.convolution(spec.depthwise, y))
        return self.add("Add", spec.name, x, y) if spec.has_residual else y

    def block(self, spec: BlockSpec, x: str) -> str:
        """Append a block of either family."""
        if isinstance(spec, InvertedResidualSpec):
            return self.inverted_residual(spec, x)
        return self.bottleneck(spec, x)

    def normalization(self, x: str) -> str:
        """Append the way from (batch, height, width, 3) uint8 to (batch, 3, …) float32."""
        x = self.add("Cast", "as_float", x, to=TensorProto.FLOAT)
        x = self.add("Transpose", "channels_first", x, perm=[0, 3, 1, 2])
        scale = self.constant("normalize.scale", (1 / (255 * STD)).reshape(1, 3, 1, 1))
        shift = self.constant("normalize.shift", (-MEAN / STD).reshape(1, 3, 1, 1))
        x = self.add("Mul", "scaled", x, scale)
        return self.add("Add", "normalized", x, shift)


def onnx_model(
    architecture: Architecture,
    parameters: Mapping[str, NDArray[Any]],
    metadata: Metadata,
    batch: int | None,
) -> ModelProto:
    """Build the ONNX model of a network.

    Args:
        architecture: Its table.
        parameters: Arrays by released name.
        metadata: Kept in the model; decides the shape and dtype of its input.
        batch: Images in a batch, or None for any number.
    """
    classes = count_classes(parameters, architecture)
    spec = network_spec(architecture, classes)
    graph = Graph(parameters)
    x = graph.normalization(INPUT) if metadata.with_preprocessing else INPUT
    x = graph.convolution(spec.stem, x)
    for block in spec.blocks:
        x = graph.block(block, x)
    x = graph.add("GlobalAveragePool", "pool", graph.convolution(spec.last, x))
    if spec.head:
        x = graph.convolution(spec.head, x)
    x = graph.add("Flatten", "features", x)
    graph.add("Gemm", OUTPUT, x, *graph.weights(spec.classifier), transB=1)

    kind = TensorProto.UINT8 if metadata.with_preprocessing else TensorProto.FLOAT
    length = "batch" if batch is None else batch
    image = helper.make_tensor_value_info(INPUT, kind, [length, *metadata.shape])
    logits = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [length, classes])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "GhostNet", [image], [logits], graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name=PRODUCER,
    )
    helper.set_model_props(model, metadata.as_properties())
    checker.check_model(model, full_check=True)
    return model
