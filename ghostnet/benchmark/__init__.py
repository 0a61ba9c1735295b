"""The speed of networks: this package and other engines, timed in turn."""

from ghostnet.benchmark.runner import Measurement, benchmark, race

__all__ = ["Measurement", "benchmark", "race"]
