"""The peer of ``benchmarks/serving.py``: an exported model in ONNX Runtime, behind LitServe.

``python benchmarks/litserve_server.py model.onnx PORT WORKERS`` serves ``POST /predict``, which
takes a form with the file ``image``. The processors are divided among the workers.
"""

import io
import os
import sys

import litserve
import numpy as np
import onnxruntime
from fastapi import Request
from PIL import Image

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


class Classifier(litserve.LitAPI):
    def __init__(self, model: str, threads: int) -> None:
        super().__init__(max_batch_size=32, batch_timeout=0.002)
        self.file = model
        self.threads = threads

    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        self.session = onnxruntime.InferenceSession(
            self.file, options, providers=["CPUExecutionProvider"]
        )

    def decode_request(self, request: Request) -> np.ndarray:
        image = Image.open(io.BytesIO(request["image"].file.read())).convert("RGB")
        scale = 256 / min(image.size)
        size = [round(side * scale) for side in image.size]
        left, top = ((side - 224) // 2 for side in size)
        image = image.resize(size, Image.Resampling.BICUBIC)
        pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
        return ((pixels - MEAN) / STD).transpose(2, 0, 1)

    def predict(self, batch: np.ndarray) -> np.ndarray:
        (logits,) = self.session.run(None, {"pictures": batch})
        return logits

    def encode_response(self, output: np.ndarray) -> dict[str, object]:
        shifted = np.exp(output - output.max())
        return {"probabilities": (shifted / shifted.sum()).tolist()}


def main() -> None:
    model, port, workers = sys.argv[1:]
    processors = len(os.sched_getaffinity(0))
    server = litserve.LitServer(
        Classifier(model, max(1, processors // int(workers))),
        accelerator="cpu",
        workers_per_device=int(workers),
        timeout=120,
    )
    server.run(host="127.0.0.1", port=int(port), generate_client_file=False, log_level="error")


if __name__ == "__main__":
    main()
