"""Errors that this package raises on purpose; `GhostNetError` is the base of them all."""

from collections.abc import Iterable

MAX_LISTED = 10
"""Names that a message lists before it counts the rest."""


def listed(names: Iterable[str], separator: str = ", ") -> str:
    """Join the first names, and say how many more there are."""
    known = [*names]
    more = len(known) - MAX_LISTED
    return separator.join(known[:MAX_LISTED] + [f"and {more:,} more"] * (more > 0))


class GhostNetError(Exception):
    """Base class. A message states what was expected, what was found and what to do."""


class ModelError(GhostNetError, ValueError):
    """A model name that is not registered, or what a model cannot do or does not have."""


class CardError(GhostNetError):
    """A hub card that cannot be read. The message names the file, the field and the line."""


class FetchError(GhostNetError):
    """A file that could not be downloaded or stored, or a link that is not allowed."""


class IntegrityError(GhostNetError):
    """A file whose SHA-256 differs from the one promised."""


class CheckpointError(GhostNetError):
    """A checkpoint that cannot be read or written, or that does not fit the network."""


class ImageError(GhostNetError):
    """A file that is not an image, or that is not safe to decode."""


class LabelError(GhostNetError):
    """A file of labels that cannot be read, or that does not fit the model."""


class DatasetError(GhostNetError):
    """A folder of images that cannot be used for training or evaluation."""


class KernelError(GhostNetError):
    """An input that the fused kernels do not take, or a network that cannot be fused."""


class DeviceError(GhostNetError):
    """A device that MindSpore cannot use."""


class ExportError(GhostNetError):
    """A network that cannot be exported to ONNX or MindIR."""


class PackageError(GhostNetError):
    """A package that is needed but not installed."""


class BenchmarkError(GhostNetError):
    """An engine that is unknown, does not run, or whose logits differ from the network's."""


class ClusterError(GhostNetError):
    """A Ray cluster that cannot be reached, or whose actors fail."""


class ResultsError(GhostNetError):
    """A file of results that cannot be written or continued."""


class TrainingError(GhostNetError):
    """A training run that cannot start, continue or resume."""


class ServingError(GhostNetError):
    """An address, a token or a setting that a server cannot start with."""
