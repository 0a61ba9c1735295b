"""The processors of this process, and pools of threads that stop soon when interrupted."""

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager


def processors() -> int:
    """Return how many processors this process may use; all of the machine where no system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def thread_pool(count: int | None = None) -> Iterator[Executor]:
    """Open a pool of threads; if the block is left early, what has not begun is cancelled.

    Args:
        count: Number of threads; by default, one for each processor and a few more.
    """
    executor = ThreadPoolExecutor(count)
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()
