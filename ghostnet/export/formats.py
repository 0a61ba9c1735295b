"""The formats of exported networks, and the runtimes that this package runs them in."""

from enum import Enum
from pathlib import Path

from ghostnet.errors import ExportError


class Format(str, Enum):
    """Formats of exported files, each with the suffix of the same name."""

    ONNX = "onnx"
    MINDIR = "mindir"


def format_of(path: Path, requested: Format | None = None) -> Format:
    """Return the format to write: the requested one, or else the one that the suffix names.

    Raises:
        ExportError: The suffix names another format than the requested one, or there is neither.
    """
    named = {f".{format.value}": format for format in Format}.get(path.suffix.lower())
    if requested and named and requested is not named:
        raise ExportError(
            f"{path} ends in .{named.value}, but the requested format is {requested.value}; name a "
            f"file that ends in .{requested.value}, or leave the format out"
        )
    chosen = requested or named
    if chosen is None:
        raise ExportError(
            f"{path} does not end in .onnx or .mindir, so its format is unknown; rename it, or "
            "choose a format (--format, format=…)"
        )
    return chosen


class WeightBits(int, Enum):
    """Bits in each weight of a quantized network."""

    SEVEN = 7
    """Correct on every processor."""

    EIGHT = 8
    """More precise, but only for processors with VNNI: others saturate the sum of two products."""


class Backend(str, Enum):
    """What runs a network: this package, or another runtime that reads the exported network."""

    GHOSTNET = "ghostnet"
    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"
