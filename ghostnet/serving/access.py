"""Who may use a server, and how it is written down."""

from dataclasses import dataclass
from enum import Enum


class LogFormat(str, Enum):
    """How the access log describes a request."""

    TEXT = "text"
    JSON = "json"
    OFF = "off"


@dataclass(frozen=True)
class Access:
    """Who may use a server.

    Attributes:
        token: The bearer token that requests need; None for none.
        origins: Websites whose pages may send requests, such as ``https://example.org``; ``*`` for
            all.
        log: Format of the access log, on stderr.
        controls_models: Whether clients may load and unload models.
    """

    token: str | None = None
    origins: tuple[str, ...] = ()
    log: LogFormat = LogFormat.OFF
    controls_models: bool = False
