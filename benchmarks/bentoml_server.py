"""A peer of ``benchmarks/serving.py``: an exported model in ONNX Runtime, behind BentoML.

``bentoml serve bentoml_server:Classifier`` serves ``POST /predict``, which takes a form with the
file ``image``, and batches adaptively. The environment names the model, ``MODEL``, and the number
of ``WORKERS``, among which the processors are divided.
"""

import os

import bentoml
import numpy as np
import onnxruntime
from PIL.Image import Image
from preprocessing import preprocess, probabilities

WORKERS = int(os.environ.get("WORKERS", "1"))


@bentoml.service(workers=WORKERS, traffic={"timeout": 120}, logging={"access": {"enabled": False}})
class Classifier:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, len(os.sched_getaffinity(0)) // WORKERS)
        self.session = onnxruntime.InferenceSession(
            os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
        )

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=60_000)
    def predict(self, image: list[Image]) -> list[dict[str, list[float]]]:
        batch = np.stack([preprocess(one) for one in image])
        (logits,) = self.session.run(None, {"pictures": batch})
        return [{"probabilities": probabilities(row)} for row in logits]
