"""The formats of exported networks, and the runtimes that this package runs them in."""

from enum import Enum


class Format(str, Enum):
    """Formats of exported files, each with the suffix of the same name."""

    ONNX = "onnx"
    MINDIR = "mindir"


class Backend(str, Enum):
    """What runs a network: this package, or another runtime on the exported network."""

    GHOSTNET = "ghostnet"
    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"
