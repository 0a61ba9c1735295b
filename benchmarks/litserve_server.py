"""A peer of ``benchmarks/serving.py``: an exported model in ONNX Runtime, behind LitServe.

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
from preprocessing import preprocess, probabilities


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
        return preprocess(Image.open(io.BytesIO(request["image"].file.read())))

    def predict(self, batch: np.ndarray) -> np.ndarray:
        (logits,) = self.session.run(None, {"pictures": batch})
        return logits

    def encode_response(self, output: np.ndarray) -> dict[str, object]:
        return {"probabilities": probabilities(output)}


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
