"""What is fuzzed: for each kind of input, good examples and what is done with any bytes.

A check returns for good bytes and for bytes that are refused with one of our errors; whatever else
it raises is a bug.
"""

import io
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mindspore.train.checkpoint_pb2 import Checkpoint
from PIL import Image, ImageCms
from safetensors.numpy import save

from ghostnet.checkpoints import convert, count_classes, identify, parse_checkpoint, read_foreign
from ghostnet.cli import main as cli
from ghostnet.data.transforms import Preprocess, decode
from ghostnet.errors import CheckpointError, ImageError
from ghostnet.hub.cache import model_folder
from ghostnet.hub.catalog import assets_folder, is_uid, shipped_text, shipped_uids
from ghostnet.models import find_model

TEMPORARY = tempfile.TemporaryDirectory(prefix="ghostnet-fuzz-")
FOLDER = Path(TEMPORARY.name)


@dataclass(frozen=True)
class Target:
    """Good examples to start from, and the check."""

    examples: tuple[bytes, ...]
    check: Callable[[bytes], None]


def run(*words: str) -> None:
    """The command in this process: it ends with status 0, or with 1 and a sentence on stderr."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    before, sys.argv = sys.argv, ["ghostnet", *words]
    status: object = None
    try:
        with redirect_stdout(out), redirect_stderr(err):
            cli.main()
    except SystemExit as stopped:
        status = stopped.code
    finally:
        sys.argv = before
    err.seek(0)
    assert (status, err.read()[:10]) in ((0, ""), (1, "ghostnet: "))


def check_card(data: bytes) -> None:
    path = FOLDER / "card.md"
    path.write_bytes(data)
    run("hub", "show", str(path), "--json")


def check_uid(data: bytes) -> None:
    uid = data.decode("utf-8", "surrogateescape").replace("\0", "")
    if not uid.startswith(("http://", "https://")):
        run("hub", "show", "--json", "--", uid)
    if is_uid(uid):
        assert FOLDER in model_folder(uid, FOLDER).resolve().parents


def check_checkpoint(data: bytes) -> None:
    with suppress(CheckpointError):
        parameters = parse_checkpoint(data)
        assert sum(array.nbytes for array in parameters.values()) <= len(data)
        assert count_classes(parameters, identify(parameters)) <= len(data)


def check_safetensors(data: bytes) -> None:
    path = FOLDER / "model.safetensors"
    path.write_bytes(data)
    with suppress(CheckpointError):
        convert(read_foreign(path))


def check_image(data: bytes) -> None:
    with suppress(ImageError):
        image = Preprocess(64)(decode(data))
        assert image.shape == (3, 64, 64)
        assert np.isfinite(image).all()


def block_weights() -> dict[str, np.ndarray]:
    """The parameters that tell an architecture, and the classifier, as small as can be."""
    weights = {"classifier.weight": np.ones((2, 1280)), "classifier.bias": np.ones(2)}
    for index, block in enumerate(find_model("ghostnet_050").architecture.blocks):
        name = f"blocks.{index}."
        weights[name + "ghost1.primary_conv.conv.weight"] = np.ones(block.expansion_channels // 2)
        weights[name + "ghost2.primary_conv.conv.weight"] = np.ones(block.out_channels // 2)
        if block.se_channels:
            weights[name + "se.conv_reduce.weight"] = np.ones(block.se_channels)
    weights[f"blocks.{index + 1}.conv.weight"] = np.ones(1)
    return {name: array.astype(np.float32) for name, array in weights.items()}


def checkpoint() -> bytes:
    message = Checkpoint()
    for name, array in block_weights().items():
        tensor = message.value.add(tag=name).tensor
        tensor.dims.extend(array.shape)
        tensor.tensor_type = "Float32"
        tensor.tensor_content = array.tobytes()
    return message.SerializeToString()


def safetensors() -> bytes:
    weights = block_weights()
    return save({name.replace(".conv.weight", ".0.weight"): weights[name] for name in weights})


def images() -> tuple[bytes, ...]:
    """A small image in each format, and a photograph's thumbnail with EXIF data."""
    image = Image.open(assets_folder() / "images/dahlia.jpg")
    image.thumbnail((40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    kinds = ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"]
    variants = [(kind, image, {}) for kind in kinds]
    variants += [
        ("JPEG", image, {"exif": exif, "progressive": True}),
        ("PNG", image.convert("P"), {"transparency": 3}),
        ("PNG", image.convert("RGBA"), {}),
        ("TIFF", image, {"icc_profile": profile.tobytes()}),
        ("TIFF", image.convert("I;16"), {}),
        ("TIFF", image, {"compression": "tiff_lzw"}),
        ("TIFF", image, {"compression": "jpeg"}),
        ("WEBP", image, {"lossless": True}),
    ]
    encoded = []
    for kind, image, options in variants:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        encoded.append(buffer.getvalue())
    return tuple(encoded)


TARGETS = {
    "card": Target(tuple(shipped_text(uid).encode() for uid in shipped_uids()), check_card),
    "uid": Target(tuple(uid.encode() for uid in shipped_uids()), check_uid),
    "checkpoint": Target((checkpoint(),), check_checkpoint),
    "safetensors": Target((safetensors(),), check_safetensors),
    "image": Target(images(), check_image),
}
