"""The server: a socket, one or more processes, and an orderly end."""

import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from tempfile import TemporaryDirectory
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors import Multiprocess

from ghostnet.errors import ServingError
from ghostnet.kernels.cpu import library
from ghostnet.kernels.cpu.library import default_threads
from ghostnet.model import Model
from ghostnet.serving.access import Access
from ghostnet.serving.application import create_application
from ghostnet.serving.certificate import Certificate
from ghostnet.serving.connection import PromptConnection
from ghostnet.serving.limits import Limits
from ghostnet.serving.metrics import SHARED_FOLDER

GRACE_SECONDS = 25
"""Time for unfinished requests at the end; Kubernetes kills a container after 30 s."""

WORKER_SECONDS = 60
"""How long a worker may be too busy to answer the process that watches it."""

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
            "--host and --port"
        ) from error


def serve(
    opening: Callable[[], Model],
    listener: socket.socket,
    limits: Limits,
    access: Access,
    *,
    threads: int | None = None,
    workers: int = 1,
    certificate: Certificate | None = None,
) -> None:
    """Serve a model until SIGTERM or SIGINT, then finish the requests that have begun.

    Args:
        opening: Opens the model, in each process again; it must be possible to pickle it.
        listener: As `listen` returns it.
        limits: How much each process takes on at once.
        access: Who may use the server.
        threads: Threads of the network in each process; by default, the processors divided by the
            number of processes.
        workers: Processes; one that dies is replaced.
        certificate: The certificate for TLS; without one, the server speaks plain HTTP.

    Raises:
        KernelError: The fused kernels are not available.
        ServingError: The certificate cannot be loaded.
    """
    _raise_file_limit()
    # A terminal that closes, or a supervisor that reloads, ends the server in order.
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    threads = threads or max(1, default_threads() // workers)
    if certificate:
        certificate.context()
    library.load()  # workers that cannot would be replaced without end
    config = uvicorn.Config(
        partial(open_application, opening, limits, access, threads=threads),
        factory=True,
        http=cast(Any, partial(PromptConnection, limits)),
        ws="none",
        loop="uvloop",
        workers=workers,
        ssl_context_factory=certificate.renewing_context if certificate else None,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_worker_healthcheck=WORKER_SECONDS,
        timeout_keep_alive=limits.keep_alive,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    if workers == 1:
        uvicorn.Server(config).run(sockets=[listener])
    else:
        with _shared_metrics():
            Multiprocess(config, sockets=[listener]).run()


def open_application(
    opening: Callable[[], Model], limits: Limits, access: Access, *, threads: int
) -> Starlette:
    """Make the application of a process, which ends with the process that started it."""
    if parent := parent_process():
        watch = threading.Thread(target=_end_after, args=(parent,), daemon=True)
        watch.start()
    return create_application(opening(), limits, access, threads=threads)


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _shared_metrics() -> Iterator[None]:
    """Give the workers a folder in which they share their metrics."""
    with TemporaryDirectory(prefix="ghostnet-metrics-") as folder:
        os.environ[SHARED_FOLDER] = folder
        yield


def _raise_file_limit() -> None:
    """Raise the limit of open files, and so of connections, as far as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
