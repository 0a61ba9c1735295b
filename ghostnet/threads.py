"""Pools of threads that stop soon when interrupted."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager


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
