"""The certificate of a server, read again when it is renewed."""

import logging
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ghostnet.errors import ServingError

RENEWAL_SECONDS = 30.0
"""How often the files are looked at."""


@dataclass(frozen=True)
class Certificate:
    """The files of a server's certificate.

    Attributes:
        chain: PEM file of the certificate, and of those that lead to its authority.
        key: PEM file of its private key.
        client_authorities: PEM file of the authorities of clients, which then have to have a
            certificate; None to let in clients without.
    """

    chain: Path
    key: Path
    client_authorities: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Load the files.

        Raises:
            ServingError: A file cannot be read, or is something else.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.chain, self.key)
            if self.client_authorities:
                context.load_verify_locations(self.client_authorities)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as error:
            names = ", ".join(str(path) for path in self._files)
            raise ServingError(
                f"the certificate cannot be loaded from {names} ({error.strerror or error}); give "
                "PEM files with --tls-cert and --tls-key"
            ) from error
        return context

    def renewing_context(self, *_: Any) -> ssl.SSLContext:
        """Load the files, and load the certificate again whenever it changes."""
        context = self.context()
        threading.Thread(target=self._watch, args=(context,), daemon=True).start()
        return context

    @property
    def _files(self) -> list[Path]:
        return [path for path in (self.chain, self.key, self.client_authorities) if path]

    def _watch(self, context: ssl.SSLContext) -> None:
        loaded = self._times()
        while True:
            time.sleep(RENEWAL_SECONDS)
            if (now := self._times()) == loaded:
                continue
            try:
                self.context()  # a chain without its key is found here, not by a client
                context.load_cert_chain(self.chain, self.key)
                loaded = now
            except (ServingError, OSError, ssl.SSLError) as error:
                logging.getLogger(__name__).warning("%s; the old one goes on", error)

    def _times(self) -> list[int]:
        return [path.stat().st_mtime_ns if path.exists() else 0 for path in self._files]
