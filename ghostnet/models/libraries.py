"""Libraries that have networks of this package too."""

from enum import Enum


class Library(str, Enum):
    """A library whose names `ghostnet convert` can write."""

    TIMM = "timm"
    HUAWEI = "huawei"
    MINDCV = "mindcv"
