"""Files labeled or embedded on a Ray cluster, with the rows in their order."""

import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

from ghostnet.errors import ClusterError
from ghostnet.inference.ray_actor import RayActor
from ghostnet.inference.results import answers_in
from ghostnet.inference.rows import Answer
from ghostnet.model import ImageSource
from ghostnet.packages import needs
from ghostnet.system.machine import processors

BLOCK_IMAGES = 256
"""Images that an actor labels at a time, and that another labels again if the first one is lost."""

CONNECT_SECONDS = 10
"""How long a cluster may take to answer."""

WAIT_SECONDS = 10
"""How long a processor is waited for in silence."""


class RayCluster:
    """A Ray cluster that labels or embeds files, with an actor for each of its processors.

    Args:
        ray: The package, connected to the cluster.
        actor: Class of the actors.
        settings: What it is constructed with, by name; a model in it is sent to the actors.
    """

    def __init__(self, ray: Any, actor: type[RayActor], settings: Mapping[str, Any]) -> None:
        self._ray = ray
        self._actor = actor
        self._settings = settings

    def __call__(self, images: Iterable[ImageSource]) -> Iterator[Answer]:
        """Yield the answer of each image, or its error, in their order.

        Args:
            images: Files, whose names are paths that every machine of the cluster can read;
                relative ones start at the current folder.

        Raises:
            ClusterError: The actors fail, or the cluster is lost.
        """
        try:
            blocks = [self._ray.put(block) for block in _blocks(images)]
            if blocks:
                self._wait_for_processor()
                for table in self._answered(blocks):
                    yield from answers_in(table)
        except self._ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ClusterError(
                f"Ray: an actor failed ({reason}); install the same mindspore-ghostnet on every "
                "machine, and --resume"
            ) from error

    def _wait_for_processor(self) -> None:
        """Wait until a processor is free, and say what is waited for if there is none."""
        turn = self._ray.remote(num_cpus=1)(lambda: None).remote()
        ended, _ = self._ray.wait([turn], timeout=WAIT_SECONDS)
        if not ended and self._ray.available_resources().get("CPU", 0) < 1:
            count = self._ray.cluster_resources().get("CPU", 0)
            warnings.warn(
                f"Ray: waiting for a free processor; all {count:g} of the cluster are in use",
                stacklevel=2,
            )
        self._ray.get(turn)

    def _answered(self, blocks: list[Any]) -> Iterator[Any]:
        """Return tables of answers, in the order of their blocks."""
        data = self._ray.data
        actors = min(len(blocks), int(self._ray.cluster_resources().get("CPU", 1)))
        answered = data.from_arrow_refs(blocks).map_batches(
            self._actor,
            fn_constructor_kwargs={**self._settings, "folder": Path.cwd()},
            batch_size=None,
            num_cpus=1,
            compute=data.ActorPoolStrategy(size=actors),
        )
        answered.context.execution_options.preserve_order = True
        tables: Iterable[Any] = answered.iter_batches(batch_size=None, batch_format="pyarrow")
        return iter(tables)


def _blocks(images: Iterable[ImageSource]) -> Iterator[Any]:
    """Yield tables of paths; those need not be UTF-8, so they are bytes."""
    import pyarrow

    names = (os.fsencode(image.name) for image in images)
    while block := [*islice(names, BLOCK_IMAGES)]:
        yield pyarrow.table({"path": pyarrow.array(block, pyarrow.binary())})


@contextmanager
def connect(
    actor: type[RayActor],
    settings: Mapping[str, Any],
    *,
    address: str | None = None,
    verbose: bool = False,
) -> Iterator[RayCluster]:
    """Connect to a cluster for the time of the block.

    Args:
        actor: Class of the actors.
        settings: What it is constructed with, by name.
        address: Address of a running cluster: ``host:port`` or ``auto``; by default, the
            environment's ``RAY_ADDRESS``. Without either, a cluster of this machine's processors is
            started, and stopped after the block.
        verbose: Show Ray's log.

    Raises:
        PackageError: Ray is not installed.
        ClusterError: There is no cluster at the address, or none can be started.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    level = logging.INFO if verbose else logging.ERROR
    with nullcontext() if verbose else _silence():
        ray = _import_ray()
        logging.getLogger("ray.data").setLevel(level)
        ray.data.DataContext.get_current().enable_progress_bars = verbose
        local = {"num_cpus": processors(), "include_dashboard": False}
        try:
            _check(address)
            ray.init(
                address or "local",
                logging_level=level,
                log_to_driver=verbose,
                **({} if address else local),
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise ClusterError(
                f"{address or 'Ray'}: there is no Ray cluster ({error}); start one with `ray start "
                "--head`, or leave out the address"
            ) from error
    try:
        yield RayCluster(ray, actor, settings)
    finally:
        ray.shutdown()


def _import_ray() -> Any:
    """Import Ray, with its usage statistics off."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with needs("ray", extra="ray"):
        import ray
        import ray.data
    return ray


def _check(address: str | None) -> None:
    """Check that something listens at ``host:port``, for which Ray would wait many minutes."""
    host, _, port = (address or "").rpartition(":")
    if port.isdecimal():
        host = host.rpartition("/")[2].strip("[]")
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what Ray's native code prints on starting off stderr, and all but its last words later.

    A first line would say that its log has this level.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
