"""SIGHUP, which means that the models are to be read again, or that the terminal has closed."""

import signal
import sys
from collections.abc import Callable


class Hangup:
    """Reads the models again on SIGHUP; ends the process if its terminal has closed.

    Args:
        reload: Reads the models again.
    """

    def __init__(self, reload: Callable[[], None]) -> None:
        self._reload = reload
        self._had_terminal = sys.stderr.isatty()

    def __call__(self) -> None:
        """React to the signal."""
        if self._had_terminal and not sys.stderr.isatty():
            signal.raise_signal(signal.SIGTERM)
        else:
            self._reload()
