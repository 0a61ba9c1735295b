"""Call fused GhostNet-1x on one picture again and again, for a profiler to watch.

``perf record -o profile python benchmarks/kernel_calls.py 1`` (threads), then ``perf report -i
profile --dsos libghostnet_cpu.so --percentage relative --sort symbol``.
"""

import sys

import mindspore as ms
import numpy as np

from ghostnet import fuse, ghostnet_1x, kernels

CALLS = 3000


def main() -> None:
    """Make the calls on as many threads as the first argument says."""
    kernels.set_threads(int(sys.argv[1]))
    cell = fuse(ghostnet_1x(37).set_train(False))
    picture = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    for _ in range(CALLS):
        cell(ms.Tensor(picture)).asnumpy()


if __name__ == "__main__":
    main()
