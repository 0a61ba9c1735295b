"""The files of the try-it page: the bundled model as ONNX, its description, its runtime."""

import json
from collections.abc import Iterator
from pathlib import Path

from mkdocs.exceptions import PluginError

from ghostnet.data.transforms import MAX_ASPECT, MAX_PIXELS
from ghostnet.export import Format, serialized
from ghostnet.hub import open_model
from ghostnet.models.registry import DEFAULT_MODEL

RUNTIME = Path(__file__).parent / "node_modules/onnxruntime-web/dist"
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")


def files() -> Iterator[tuple[str, str | bytes]]:
    """Yield name and content of each file.

    Raises:
        PluginError: ONNX Runtime Web has not been installed from the npm registry.
    """
    for name in RUNTIME_FILES:
        if not (RUNTIME / name).is_file():
            raise PluginError(f"{RUNTIME / name} is missing; run: npm ci --prefix website")
        yield f"onnxruntime/{name}", (RUNTIME / name).read_bytes()
    model = open_model(DEFAULT_MODEL)
    yield "model.onnx", serialized(model, Format.ONNX, with_preprocessing=True)
    description = {
        "name": model.name,
        "labels": model.labels,
        "resize": model.preprocess.resize_size,
        "crop": model.preprocess.image_size,
        "max_pixels": MAX_PIXELS,
        "max_aspect": MAX_ASPECT,
    }
    yield "model.json", json.dumps(description)
