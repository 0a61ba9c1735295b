"""What the peers of ``benchmarks/serving.py`` do around the network."""

import numpy as np
from PIL import Image

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def preprocess(image: Image.Image) -> np.ndarray:
    """(3, 224, 224) float32, from the middle of an image."""
    image = image.convert("RGB")
    scale = 256 / min(image.size)
    size = [round(side * scale) for side in image.size]
    left, top = ((side - 224) // 2 for side in size)
    image = image.resize(size, Image.Resampling.BICUBIC)
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
    return ((pixels - MEAN) / STD).transpose(2, 0, 1)


def probabilities(logits: np.ndarray) -> list[float]:
    shifted = np.exp(logits - logits.max())
    return (shifted / shifted.sum()).tolist()
