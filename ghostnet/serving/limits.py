"""The limits of a server."""

from dataclasses import dataclass

MEBIBYTE = 2**20

BODIES = 1 / 4
"""Share of the memory that bodies of requests may take."""


@dataclass(frozen=True)
class Limits:
    """The limits of a server.

    Attributes:
        batch: Most images per call of the network.
        delay: Most seconds that a decoded image waits for others that are being decoded.
        queue: Most images that are accepted and not yet answered.
        body: Most bytes in the body of a request.
        memory: Most bytes that all requests take: their bodies, and what is decoded and parsed.
        arrival: Most seconds from the first byte of a request to its last.
        keep_alive: Seconds that an idle connection stays open; longer than proxies and pools of
            connections keep theirs, usually a minute, so that none is closed under a request.
    """

    batch: int = 32
    delay: float = 0.002
    queue: int = 512
    body: int = 20 * MEBIBYTE
    memory: int = 1024 * MEBIBYTE
    arrival: float = 30.0
    keep_alive: int = 75

    @property
    def bodies(self) -> int:
        """Most bytes of the bodies in memory."""
        return int(self.memory * BODIES)

    @property
    def work(self) -> int:
        """Most bytes of what is decoded and parsed at a time."""
        return self.memory - self.bodies
