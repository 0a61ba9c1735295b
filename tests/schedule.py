"""Cases that wait for `make test-all`, where others of their kind run in `make test`."""

from typing import Any

import pytest


def at_night(*cases: Any) -> list[Any]:
    """Mark cases of a parametrized test as nightly; a tuple is a case of several arguments."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.nightly)
        for case in cases
    ]
