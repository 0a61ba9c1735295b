"""What a server says about itself and its models, in the terms of the Open Inference Protocol."""

from collections.abc import Iterable
from typing import Any

import ghostnet
from ghostnet.serving.protocol import ENCODED, EXTENSIONS, IMAGES, LOGITS, PROBABILITIES
from ghostnet.serving.repository import VERSION, Repository
from ghostnet.serving.served_model import ServedModel

Document = dict[str, Any]

PLATFORM = "ghostnet"


def server_metadata() -> Document:
    """Describe the server."""
    return {"name": "ghostnet", "version": ghostnet.__version__, "extensions": EXTENSIONS}


def model_metadata(model: ServedModel) -> Document:
    """Describe the inputs and outputs of a model."""
    outputs = [-1, len(model.labels)]
    return {
        "name": model.name,
        "versions": [VERSION],
        "platform": PLATFORM,
        "inputs": [
            {"name": IMAGES, "datatype": "FP32", "shape": [-1, *model.input_shape]},
            {"name": ENCODED, "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [
            {"name": name, "datatype": "FP32", "shape": outputs} for name in (LOGITS, PROBABILITIES)
        ],
    }


def model_configuration(model: ServedModel, most_images: int) -> Document:
    """Describe a model as the configurations of Triton do.

    Args:
        model: The model.
        most_images: Images of the largest request.
    """
    logits = {"data_type": "TYPE_FP32", "dims": [len(model.labels)]}
    return {
        "name": model.name,
        "platform": PLATFORM,
        "backend": PLATFORM,
        "max_batch_size": most_images,
        "input": [
            {"name": IMAGES, "data_type": "TYPE_FP32", "dims": model.input_shape},
            {"name": ENCODED, "data_type": "TYPE_STRING", "dims": [1]},
        ],
        "output": [{"name": name, **logits} for name in (LOGITS, PROBABILITIES)],
    }


def statistics(models: Iterable[ServedModel]) -> Document:
    """Count what models have computed in this process, as Triton does."""
    return {"model_stats": [_counted(model) for model in models]}


def _counted(model: ServedModel) -> Document:
    counted = model.counted
    executions = {"count": counted.batches, "ns": round(1e9 * counted.seconds)}
    return {
        "name": model.name,
        "version": VERSION,
        "inference_count": counted.images,
        "execution_count": counted.batches,
        "inference_stats": {"compute_infer": executions},
    }


def repository_index(repository: Repository) -> list[Document]:
    """List the models, loaded or not."""
    return [
        {
            "name": entry.name,
            "version": VERSION,
            "state": "READY" if entry.is_loaded else "UNAVAILABLE",
            "reason": entry.reason,
        }
        for entry in repository.entries
    ]
