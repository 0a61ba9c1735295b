"""Fit new classifiers to the features of several models, as ``ghostnet finetune`` does.

``python benchmarks/backbones.py ../shared/data`` writes results/backbones.json: for each model, how
many held-out flowers and test images of Oxford-IIIT Pet the new classifier has right, and the
seconds from the images to the classifier.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from ghostnet.data.image_folder import ImageFolder, read_folder
from ghostnet.data.oxford_pets import OxfordIIITPet
from ghostnet.hub import open_model
from ghostnet.models.registry import BACKBONE_MODEL
from ghostnet.training.head.finetune import finetune_head

RESULTS = Path(__file__).with_name("results") / "backbones.json"


def tasks(data: Path) -> dict[str, tuple[ImageFolder, ImageFolder]]:
    """Return training and held-out images by the name of the task."""
    flowers, pets = data / "flowers", data / "oxford_pets"
    return {
        "flowers": (read_folder(flowers / "train"), read_folder(flowers / "val")),
        "pets": (OxfordIIITPet(pets, "trainval"), OxfordIIITPet(pets, "test")),
    }


def measure(model: str, train: ImageFolder, held_out: ImageFolder) -> dict[str, float]:
    """Fit a classifier, with an empty cache of features."""
    opened = open_model(model)
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        evaluation = finetune_head(opened, train, held_out, cache_dir=cache).evaluation
        seconds = time.perf_counter() - start
    return {"correct": evaluation.correct, "images": evaluation.images, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    models = {
        "imagenet_distilled": BACKBONE_MODEL,
        "flowers": "ghostnet/cpu/2.10/ghostnet_v1.0_flowers",
        "cifar10": str(data / "weights/ghostnet_100_cifar10.safetensors"),
    }
    found = {
        name: {task: measure(model, *images) for task, images in tasks(data).items()}
        for name, model in models.items()
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
