"""The CUDA kernels: their build, their library, packing of weights, and their operators."""

from ghostnet.kernels.cuda import build, library, packing

__all__ = ["build", "library", "packing"]
