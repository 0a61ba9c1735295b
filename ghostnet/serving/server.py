"""The server: a socket, one or more processes, and an orderly end."""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from tempfile import TemporaryDirectory
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from ghostnet import kernels
from ghostnet.errors import GhostNetError, ServingError
from ghostnet.files import raising
from ghostnet.kernels.cpu import library
from ghostnet.kernels.cpu.library import Dtype, default_threads
from ghostnet.serving.access import Access
from ghostnet.serving.application import create_application
from ghostnet.serving.certificate import Certificate
from ghostnet.serving.connection import PromptConnection
from ghostnet.serving.hangup import Hangup
from ghostnet.serving.limits import Limits
from ghostnet.serving.memory import keep_memory_small
from ghostnet.serving.metrics import SHARED_FOLDER, Metrics, MetricsPort
from ghostnet.serving.repository import Opening, Repository
from ghostnet.serving.rpc.address import Address
from ghostnet.serving.trace_context import exports_traces
from ghostnet.system.memory import folder_in_memory
from ghostnet.system.processes import (
    hang_up,
    on_hangup,
    raise_file_limit,
    share_port,
    shares_ports,
)

GRACE_SECONDS = 25
"""Time for unfinished requests at the end; Kubernetes kills a container after 30 s."""

WORKER_SECONDS = 60
"""How long a worker may be too busy to answer the process that watches it."""

TURN_SECONDS = 0.0005
"""How long a thread that parses or decodes keeps the event loop from its turn: a tenth of
Python's own choice."""

BACKLOG = 2048
"""Connections that the system queues until they are accepted."""


def listen(host: str, port: int) -> socket.socket:
    """Open the socket of a server.

    Args:
        host: Name or address of an interface of this machine.
        port: Port; 0 for any free one.

    Raises:
        ServingError: The address does not exist or is in use.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(
            address[:2],
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=address[0] == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        raise ServingError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another address with "
            "--host, --port, --metrics-port or --grpc-port"
        ) from error


@contextmanager
def reserve(host: str, port: int) -> Iterator[tuple[str, int]]:
    """Hold a port that several processes will listen on, where they can; yields its address.

    Args:
        host: Name or address of an interface of this machine.
        port: Port; 0 for any free one.

    Raises:
        ServingError: The address does not exist or is in use.
    """
    with listen(host, port) as probe:  # finds another server, which may share its port, too
        family, address = probe.family, probe.getsockname()
    with socket.socket(family, socket.SOCK_STREAM) as reserved:
        if shares_ports():
            share_port(reserved)
            reserved.bind(address)
        yield address[:2]


def serve(
    openings: Mapping[str, Opening],
    listener: socket.socket,
    limits: Limits,
    access: Access,
    *,
    metrics_listener: socket.socket | None = None,
    threads: int | None = None,
    dtype: Dtype = "float32",
    workers: int = 1,
    certificate: Certificate | None = None,
    rpc: Address | None = None,
) -> None:
    """Serve models until SIGTERM or SIGINT, then finish the requests that have begun.

    On SIGHUP, the models are opened again.

    Args:
        openings: How each model is opened, by its name in addresses; it must be possible to pickle
            them.
        listener: As `listen` returns it.
        limits: How much each process takes on at once.
        access: Who may use the server.
        metrics_listener: A socket on which only metrics are, without a token.
        threads: Threads of the network in each process; by default, the processors divided by the
            number of processes.
        dtype: As of `ghostnet.kernels.Session`.
        workers: Processes; one that dies is replaced.
        certificate: The certificate for TLS; without one, the server speaks plain HTTP.
        rpc: Where to serve gRPC, too.

    Raises:
        GhostNetError: A model cannot be opened, or the fused kernels are not available.
        ServingError: The certificate cannot be loaded.
    """
    raise_file_limit()
    threads = threads or max(1, default_threads() // workers)
    if certificate:
        certificate.context()
    library.load()  # workers that cannot would be replaced without end
    metrics_port = metrics_listener.getsockname()[1] if metrics_listener else None
    config = uvicorn.Config(
        partial(
            open_application,
            openings,
            limits,
            access,
            threads=threads,
            dtype=dtype,
            rpc=rpc,
            metrics_port=metrics_port,
        ),
        factory=True,
        http=cast(Any, partial(PromptConnection, limits)),
        ws="none",
        loop="auto",
        workers=workers,
        ssl_context_factory=certificate.renewing_context if certificate else None,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_worker_healthcheck=WORKER_SECONDS,
        timeout_keep_alive=limits.keep_alive,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    sockets = [listener] + ([metrics_listener] if metrics_listener else [])
    if workers == 1:
        uvicorn.Server(config).run(sockets=sockets)
    else:
        with _shared_metrics():
            Workers(config, sockets=sockets).run()


class Workers(Multiprocess):
    """The processes of a server. On SIGHUP, each of them opens its models again."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._hangup = Hangup(self._reload)

    def keep_subprocess_alive(self) -> None:
        """Replace workers that have died, at once if they die while they are asked how they are."""
        for process in self.processes:
            process.child_conn.close()  # theirs is a copy; a pipe that has both never ends
        super().keep_subprocess_alive()

    def handle_hup(self) -> None:
        """React to SIGHUP."""
        self._hangup()

    def _reload(self) -> None:
        for process in self.processes:
            if process.pid and process.exitcode is None:
                hang_up(process.pid)


def open_application(
    openings: Mapping[str, Opening],
    limits: Limits,
    access: Access,
    *,
    threads: int,
    dtype: Dtype,
    rpc: Address | None,
    metrics_port: int | None,
) -> ASGIApp:
    """Make the application of a process, which ends with the process that started it."""
    if parent := parent_process():
        watch = threading.Thread(target=_end_after, args=(parent,), daemon=True)
        watch.start()
    keep_memory_small()
    sys.setswitchinterval(TURN_SECONDS)
    kernels.set_threads(threads)
    loop = asyncio.get_running_loop()
    # Before the models are opened: the loop reacts afterwards, so that no signal is missed.
    on_hangup(loop, Hangup(lambda: repository.reload()))
    metrics = Metrics()
    try:
        repository = Repository(openings, limits.batch, metrics.observe_batch, dtype)
    except GhostNetError as error:
        if parent is None:
            raise
        logging.getLogger(__name__).error("a worker cannot start: %s; it is tried again", error)
        raise SystemExit(1) from error
    application: ASGIApp
    if exports_traces():
        from ghostnet.serving.tracing import Spans, Tracing

        spans = Spans()
        plain = create_application(repository, limits, access, metrics, rpc, spans)
        application = Tracing(plain, spans)
    else:
        application = create_application(repository, limits, access, metrics, rpc)
    return application if metrics_port is None else MetricsPort(application, metrics, metrics_port)


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    signal.raise_signal(signal.SIGTERM)


@contextmanager
def _shared_metrics() -> Iterator[None]:
    """Give the workers a folder in which they share their metrics: in memory, where there is one.

    Raises:
        ServingError: There is no folder that can be written.
    """
    with raising(
        ServingError,
        "workers share their metrics in a folder, and no temporary directory can be written",
        "mount one at /tmp, or use --workers 1",
    ):
        folder = TemporaryDirectory(prefix="ghostnet-metrics-", dir=folder_in_memory())
    with folder as name:
        os.environ[SHARED_FOLDER] = name
        yield
