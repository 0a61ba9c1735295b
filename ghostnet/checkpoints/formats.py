"""The formats of checkpoint files, told apart by their content, and how each is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ghostnet.checkpoints.budget import MAX_BYTES
from ghostnet.checkpoints.mindspore import is_checkpoint, parse_checkpoint, write_checkpoint
from ghostnet.checkpoints.parameters import Parameters
from ghostnet.checkpoints.pytorch import is_pytorch, parse_pytorch, write_pytorch
from ghostnet.checkpoints.safetensors import is_safetensors, parse_safetensors, write_safetensors
from ghostnet.errors import CheckpointError
from ghostnet.files import raising, read_whole


@dataclass(frozen=True)
class Format:
    """A format of checkpoint files.

    Attributes:
        recognizes: Whether the bytes of a file start like this format.
        parse: Maps the bytes of a file, and its name for errors, to its tensors.
    """

    recognizes: Callable[[bytes], bool]
    parse: Callable[[bytes, str], Parameters]


FORMATS = (
    Format(is_safetensors, parse_safetensors),
    Format(is_pytorch, parse_pytorch),
    Format(is_checkpoint, parse_checkpoint),
)

SUFFIXES = (".ckpt", ".safetensors", ".pth", ".pt", ".bin", ".tar")
"""A name that ends in one of these names a checkpoint, even if there is no such file."""


WRITERS: dict[str, Callable[[Mapping[str, NDArray[Any]], Path], None]] = {
    ".ckpt": write_checkpoint,
    ".safetensors": write_safetensors,
    ".pth": write_pytorch,
}
"""How checkpoints are written, by suffix."""


def read_foreign(path: Path) -> Parameters:
    """Read the tensors of a checkpoint file under their own names, whatever its suffix.

    The format is safetensors, MindSpore's or PyTorch's. No code in the file is run.

    Raises:
        CheckpointError: The file cannot be read, or its format is not known.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: there is no such file; name a checkpoint")
    with raising(CheckpointError, f"{path}: cannot be read"):
        content = read_whole(path, MAX_BYTES)
    for format in FORMATS:
        if format.recognizes(content):
            return format.parse(content, str(path))
    raise CheckpointError(
        f"{path} is not a safetensors file, a MindSpore checkpoint or a PyTorch file, or it is "
        "damaged"
    )
