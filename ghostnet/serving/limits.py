"""How much a server takes on at once."""

from dataclasses import dataclass

MEBIBYTE = 2**20

HELD_BODIES = 16
"""Bodies of the largest size that are in memory at once; of smaller ones, as many more."""


@dataclass(frozen=True)
class Limits:
    """How much a server takes on at once.

    Attributes:
        batch: Images that go through the network together, at most.
        delay: Seconds that a decoded image waits for others that are being decoded.
        queue: Images that are accepted and not answered yet, at most.
        body: Bytes of a request's body, at most.
        arrival: Seconds in which a request has to arrive, from its first byte to its last.
    """

    batch: int = 32
    delay: float = 0.002
    queue: int = 512
    body: int = 20 * MEBIBYTE
    arrival: float = 30.0
