"""The formats of exported networks, and the runtimes that this package runs them in."""

from enum import Enum


class Format(str, Enum):
    """Formats of exported files, each with the suffix of the same name."""

    ONNX = "onnx"
    MINDIR = "mindir"


class WeightBits(int, Enum):
    """Bits of the weights of a quantized network."""

    SEVEN = 7
    """Right on every processor."""

    EIGHT = 8
    """Finer, but only for processors with VNNI: others saturate the sum of two products."""


class Backend(str, Enum):
    """What runs a network: this package, or another runtime on the exported network."""

    GHOSTNET = "ghostnet"
    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"
