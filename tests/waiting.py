"""How tests wait for what another process or thread does."""

import time
from collections.abc import Callable

WAIT_SECONDS = 120
"""How long anything may take on a machine that is busy."""


def wait_for(condition: Callable[[], object]) -> object:
    """Return the first true value of a condition, which must come in time."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return value
