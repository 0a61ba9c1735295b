"""The files of the try-it page: the bundled model as ONNX, what it is, and ONNX Runtime Web."""

import json
from collections.abc import Iterator
from pathlib import Path

from mkdocs.exceptions import PluginError

from ghostnet import runtime
from ghostnet.terminal import BUNDLED_MODEL

RUNTIME = Path(__file__).parent / "node_modules/onnxruntime-web/dist"
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")


def files() -> Iterator[tuple[str, str | bytes]]:
    """(name, content) of each file.

    Raises:
        PluginError: ONNX Runtime Web has not been fetched from the npm registry.
    """
    for name in RUNTIME_FILES:
        if not (RUNTIME / name).is_file():
            raise PluginError(f"{RUNTIME / name} is missing; run: npm ci --prefix website")
        yield f"onnxruntime/{name}", (RUNTIME / name).read_bytes()
    runtime.hush()
    from ghostnet.export import Format, serialised
    from ghostnet.export.metadata import Metadata
    from ghostnet.hub import open_model
    from ghostnet.transforms import MAX_ASPECT, MAX_PIXELS

    model = open_model(BUNDLED_MODEL)
    crop = model.preprocess.image_size
    metadata = Metadata(model.labels, crop, with_preprocessing=True)
    yield "model.onnx", serialised(model.network, Format.ONNX, metadata)
    description = {
        "name": model.name,
        "labels": model.labels,
        "resize": model.preprocess.resize_size,
        "crop": crop,
        "max_pixels": MAX_PIXELS,
        "max_aspect": MAX_ASPECT,
    }
    yield "model.json", json.dumps(description)
