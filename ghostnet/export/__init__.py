"""Networks as files for other runtimes: ONNX and MindIR."""

from typing import TYPE_CHECKING

from ghostnet.export.formats import Backend, Format
from ghostnet.lazy import lazy_names

if TYPE_CHECKING:
    from ghostnet.export.exporter import check_target, export, serialized, write

__all__ = ["Backend", "Format", "check_target", "export", "serialized", "write"]

__getattr__, __dir__ = lazy_names(
    __name__, {"ghostnet.export.exporter": ("check_target", "export", "serialized", "write")}
)
