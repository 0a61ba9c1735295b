"""The weights of a network that a training run keeps."""

from enum import Enum


class Use(str, Enum):
    """Which weights to use: their exponential moving average, or the weights themselves."""

    EMA = "ema"
    RAW = "raw"
