"""The CPU kernels: their library, the packing of weights, and their MindSpore operators."""

from ghostnet.kernels.cpu import library, packing

__all__ = ["library", "packing"]
