"""The command that serves a model over HTTP: `serve`."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ghostnet.cli.models import configure, named_openings
from ghostnet.cli.options import CacheOption, DtypeChoice, DtypeOption
from ghostnet.cli.output import say
from ghostnet.models.registry import DEFAULT_MODEL
from ghostnet.packages import needs
from ghostnet.runtime import Device
from ghostnet.serving.access import Access, LogFormat
from ghostnet.system.processes import ignore_hangups, shares_ports

LOOPBACK = "127.0.0.1"

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where workers share metrics: a folder of their own, whatever the environment says."""


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="[NAME=]MODEL",
            help="UID, card (file or URL), checkpoint or network, after a name of your choice. "
            f"Repeat for more. Default: {DEFAULT_MODEL}.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Interface to listen on; 0.0.0.0 for all.")] = LOOPBACK,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")
    ] = 8080,
    grpc_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port for gRPC, too; 0 for any free one."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads of the network. Default: one per processor."),
    ] = None,
    dtype: DtypeOption = DtypeChoice.FLOAT32,
    workers: Annotated[int, typer.Option(min=1, help="Processes that serve requests.")] = 1,
    max_batch: Annotated[
        int, typer.Option(min=1, help="Most images per call of the network.")
    ] = 32,
    max_delay_ms: Annotated[
        float, typer.Option(min=0, help="Longest wait of a decoded image for others.")
    ] = 2.0,
    max_queue: Annotated[
        int, typer.Option(min=1, help="Most images in the queue; beyond that, status 503.")
    ] = 512,
    max_body_mib: Annotated[
        int, typer.Option(min=1, help="Largest request; beyond that, status 413.")
    ] = 20,
    memory_mib: Annotated[
        int, typer.Option(min=64, help="Memory for requests, of each worker; more wait, or 503.")
    ] = 1024,
    max_arrival_s: Annotated[
        float, typer.Option(min=0.1, help="Longest time for a request to arrive.")
    ] = 30.0,
    keep_alive_s: Annotated[
        int, typer.Option(min=1, help="How long an idle connection stays open.")
    ] = 75,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port with only /metrics, for which no token is asked."
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File with the token that requests must send. Default: $GHOSTNET_TOKEN."),
    ] = None,
    control_models: Annotated[
        bool,
        typer.Option("--control-models", help="Let clients load and unload models; needs a token."),
    ] = False,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="Website whose pages may send requests; * for all. Repeat for more."),
    ] = None,
    access_log: Annotated[
        LogFormat, typer.Option(help="Write a line about each request to stderr.")
    ] = LogFormat.OFF,
    tls_cert: Annotated[
        Path | None,
        typer.Option(help="PEM file of a certificate, for TLS."),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of its private key.")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(help="PEM file of authorities: clients need a certificate.")
    ] = None,
    cache_dir: CacheOption = None,
) -> None:
    """Serve models over HTTP: images in, labels out."""
    if (tls_cert is None) != (tls_key is None) or (tls_client_ca and not tls_cert):
        raise typer.BadParameter("TLS needs both --tls-cert and --tls-key")
    signal.signal(signal.SIGTERM, _finish)
    ignore_hangups()  # until there are models to open again
    os.environ.pop(METRICS_FOLDER, None)
    configure(Device.CPU)
    with needs("uvicorn", extra="serve"):
        from ghostnet.serving import server
        from ghostnet.serving.authorization import read_token
        from ghostnet.serving.certificate import Certificate
        from ghostnet.serving.limits import MEBIBYTE, Limits
        from ghostnet.serving.rpc.address import Address
        from ghostnet.serving.trace_context import exports_traces
    if exports_traces():
        with needs("opentelemetry-exporter-otlp-proto-http", extra="otel"):
            import ghostnet.serving.tracing  # noqa: F401
    if grpc_port is not None:
        with needs("grpcio", extra="grpc"):
            import grpc  # noqa: F401
    access = Access(read_token(token_file), tuple(allow_origin or ()), access_log, control_models)
    if control_models and access.token is None:
        raise typer.BadParameter(
            "--control-models needs a token; set GHOSTNET_TOKEN or --token-file"
        )
    if control_models and workers > 1:
        raise typer.BadParameter(
            "--control-models needs --workers 1, since a request reaches one worker alone; SIGHUP "
            "reaches all of them"
        )
    if grpc_port is not None and workers > 1 and not shares_ports():
        raise typer.BadParameter(
            "--grpc-port needs --workers 1 on this system, which has no ports that processes share"
        )
    certificate = Certificate(tls_cert, tls_key, tls_client_ca) if tls_cert and tls_key else None
    limits = Limits(
        batch=max_batch,
        delay=max_delay_ms / 1000,
        queue=max_queue,
        body=max_body_mib * MEBIBYTE,
        memory=memory_mib * MEBIBYTE,
        arrival=max_arrival_s,
        keep_alive=keep_alive_s,
    )
    if 2 * limits.body > limits.bodies:
        raise typer.BadParameter("--memory-mib must be at least 8 times --max-body-mib")
    if grpc_port is not None and 3 * limits.body > limits.bodies:
        raise typer.BadParameter(
            "with --grpc-port, --memory-mib must be at least 12 times --max-body-mib"
        )
    models = model or [DEFAULT_MODEL]
    openings = named_openings(models, cache_dir)
    with ExitStack() as stack:
        listener = stack.enter_context(server.listen(host, port))
        rpc = None
        if grpc_port is not None:
            address = stack.enter_context(server.reserve(host, grpc_port))
            rpc = Address(*address, certificate)
            say(f"serving gRPC on {rpc}")
        metrics_listener = None
        if metrics_port is not None:
            metrics_listener = stack.enter_context(server.listen(host, metrics_port))
        scheme = "https" if certificate else "http"
        address = listener.getsockname()[:2]
        _announce(", ".join(models), scheme, *address, is_open=access.token is None)
        if metrics_listener:
            say(f"metrics on {_url(scheme, *metrics_listener.getsockname()[:2])}/metrics")
        server.serve(
            openings,
            listener,
            limits,
            access,
            metrics_listener=metrics_listener,
            threads=threads,
            dtype=dtype.value,
            workers=workers,
            certificate=certificate,
            rpc=rpc,
        )


def _announce(models: str, scheme: str, host: str, port: int, *, is_open: bool) -> None:
    """Print the address of the server, and a warning if anyone may use it."""
    say(f"serving {models} on {_url(scheme, host, port)}")
    if is_open and host not in (LOOPBACK, "::1"):
        say(
            "anyone who can reach this address may use it; to require a token, set GHOSTNET_TOKEN "
            "or --token-file"
        )


def _url(scheme: str, host: str, port: int) -> str:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"{scheme}://{address}"


def _finish(signum: int, frame: object) -> NoReturn:
    """Exit with status 0, since SIGTERM is how a server is stopped."""
    raise SystemExit(0)
