"""Cases that need a package that is not everywhere."""

from collections.abc import Iterable
from importlib.util import find_spec
from typing import TypeVar

import pytest

Case = TypeVar("Case")


def cases_with(package: str, cases: Iterable[Case]) -> list[Case]:
    """The cases of a parameter, or the first alone, which then skips, without the package."""
    cases = list(cases)
    return cases if find_spec(package) else cases[:1]


PARQUET = ["parquet"] if find_spec("pyarrow") else []
"""The suffix of Parquet, where it can be read and written."""

needs_mindspore = pytest.mark.skipif(not find_spec("mindspore"), reason="needs MindSpore")
