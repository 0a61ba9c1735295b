"""Every error that this package raises on purpose: one family, to be caught whole."""


class GhostNetError(Exception):
    """What was expected, what was found, and what to do about it."""


class CardError(GhostNetError):
    """A hub card that cannot be read: the message names the file, the field and the line."""


class FetchError(GhostNetError):
    """A file that could not be downloaded, or a link that is not allowed."""


class IntegrityError(GhostNetError):
    """Bytes that do not have the promised SHA-256."""


class CheckpointError(GhostNetError):
    """A checkpoint that cannot be read, or whose parameters are not those of the network."""


class ImageError(GhostNetError):
    """A file that is not a picture, or not one that is safe to decode."""


class DatasetError(GhostNetError):
    """A folder of pictures that cannot be learnt from or evaluated on."""


class KernelError(GhostNetError):
    """An input that the fused kernels cannot take, or a network that cannot be fused."""


class DeviceError(GhostNetError):
    """A device that MindSpore does not reach."""


class ExportError(GhostNetError):
    """A network that cannot be written as ONNX or MindIR."""


class PackageError(GhostNetError):
    """An optional package that is not installed."""


class BenchmarkError(GhostNetError):
    """An engine that is not known, does not run, or answers something else than the network."""


class TrainingError(GhostNetError):
    """A training that cannot start, go on or be resumed."""
