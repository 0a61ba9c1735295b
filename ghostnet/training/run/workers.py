"""Data-parallel training by the processes that ``msrun`` started."""

import os

import mindspore as ms

from ghostnet.training.run.batches import Worker


def join() -> Worker:
    """Join the workers that ``msrun`` started; without it, this process is the only one.

    Each step then averages gradients over the workers. Call before any network is built.
    """
    if "MS_WORKER_NUM" not in os.environ:
        return Worker()
    from mindspore.communication import get_group_size, get_rank, init

    init()
    ms.set_auto_parallel_context(parallel_mode=ms.ParallelMode.DATA_PARALLEL, gradients_mean=True)
    return Worker(get_rank(), get_group_size())


def as_first(worker: Worker, decision: bool) -> bool:
    """Return the first worker's decision to all of them; each has to call this."""
    if worker.count == 1:
        return decision
    told = ms.Tensor([float(decision and worker.rank == 0)], ms.float32)
    return bool(ms.ops.AllReduce()(told).asnumpy()[0])
