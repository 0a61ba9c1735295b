"""The server of gRPC, which runs on the event loop of the process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from ghostnet.errors import ServingError
from ghostnet.serving.certificate import Certificate
from ghostnet.serving.connection import HEAD_BYTES
from ghostnet.serving.limits import Limits
from ghostnet.serving.rpc.address import Address
from ghostnet.serving.rpc.service import Service

GRACE_SECONDS = 25
"""Time for unfinished requests at the end."""


@asynccontextmanager
async def running(service: Service, address: Address, limits: Limits) -> AsyncIterator[None]:
    """Serve until the block ends, and then finish the requests that have begun.

    Args:
        service: What answers.
        address: Where to listen; several processes share it.
        limits: Sizes of messages and of the queue.

    Raises:
        ServingError: The address cannot be had.
    """
    server = grpc.aio.server(
        handlers=[service.handler],
        options=[
            ("grpc.max_receive_message_length", limits.body),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", HEAD_BYTES),
            ("grpc.max_concurrent_streams", limits.queue),
            ("grpc.max_connection_idle_ms", 1000 * limits.keep_alive),
            ("grpc.so_reuseport", 1),
            ("grpc.http2.bdp_probe", 0),  # what nobody reads yet stays with its client
        ],
    )
    try:
        if address.certificate:
            server.add_secure_port(str(address), _credentials(address.certificate))
        else:
            server.add_insecure_port(str(address))
    except RuntimeError as error:
        raise ServingError(f"gRPC cannot listen on {address} ({error})") from error
    await server.start()
    try:
        yield
    finally:
        await server.stop(GRACE_SECONDS)


def _credentials(certificate: Certificate) -> Any:
    """Return credentials that read the files again for each connection."""

    def configuration() -> Any:
        key_and_chain = (certificate.key.read_bytes(), certificate.chain.read_bytes())
        authorities = certificate.client_authorities
        roots = authorities.read_bytes() if authorities else None
        return grpc.ssl_server_certificate_configuration([key_and_chain], roots)

    def renewed() -> Any:
        try:
            certificate.context()  # a chain without its key is found here, not by a client
        except ServingError:
            return None  # the one before goes on
        return configuration()

    return grpc.dynamic_ssl_server_credentials(
        configuration(), renewed, certificate.client_authorities is not None
    )
