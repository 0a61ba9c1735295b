"""Where a server of gRPC listens."""

from typing import NamedTuple

from ghostnet.serving.certificate import Certificate


class Address(NamedTuple):
    """Where a server of gRPC listens.

    Attributes:
        host: Address of an interface.
        port: Port.
        certificate: The certificate for TLS; None for none.
    """

    host: str
    port: int
    certificate: Certificate | None

    def __str__(self) -> str:
        """Return the address as URLs write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
