"""Call fused GhostNet-1x on one image again and again, for a profiler to watch.

``perf record -o profile python benchmarks/kernel_calls.py 1`` (threads), then ``perf report -i
profile --dsos libghostnet_cpu.so --percentage relative --sort symbol``.
"""

import sys

import numpy as np
from random_parameters import random_parameters

from ghostnet import kernels
from ghostnet.models import GHOSTNET_1X

CALLS = 3000


def main() -> None:
    """Make the calls on the number of threads in the first argument."""
    kernels.set_threads(int(sys.argv[1]))
    session = kernels.Session(GHOSTNET_1X, random_parameters(GHOSTNET_1X, 37))
    image = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    for _ in range(CALLS):
        session(image)


if __name__ == "__main__":
    main()
