"""The server: a socket, one or more processes, and an orderly end."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any, cast

import uvicorn
from uvicorn.supervisors import Multiprocess

from ghostnet.errors import ServingError
from ghostnet.kernels.cpu.library import default_threads
from ghostnet.model import Model
from ghostnet.serving.application import create_application
from ghostnet.serving.connection import PromptConnection
from ghostnet.serving.limits import Limits
from ghostnet.serving.metrics import SHARED_FOLDER

GRACE_SECONDS = 25
"""Time for unfinished requests at the end; Kubernetes kills a container after 30 s."""

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
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise ServingError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another address with "
            "--host and --port"
        ) from error


def serve(
    model: Model,
    listener: socket.socket,
    limits: Limits,
    *,
    threads: int | None = None,
    workers: int = 1,
    token: str | None = None,
) -> None:
    """Serve a model until SIGTERM or SIGINT, then finish the requests that have begun.

    Args:
        model: As `ghostnet.hub.open_model` returns it.
        listener: As `listen` returns it.
        limits: How much each process takes on at once.
        threads: Threads of the network in each process; by default, the processors divided by the
            number of processes.
        workers: Processes; one that dies is replaced.
        token: The bearer token that requests need; by default, none.

    Raises:
        KernelError: The fused kernels are not available.
    """
    _raise_file_limit()
    threads = threads or max(1, default_threads() // workers)
    config = uvicorn.Config(
        partial(create_application, model, limits, threads=threads, token=token),
        factory=True,
        http=cast(Any, partial(PromptConnection, limits)),
        ws="none",
        loop="uvloop",
        workers=workers,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=limits.keep_alive,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    if workers == 1:
        uvicorn.Server(config).run(sockets=[listener])
    else:
        with _shared_metrics():
            Multiprocess(config, sockets=[listener]).run()


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
