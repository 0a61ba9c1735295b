"""Optional packages: what needs one says so, and how to get it."""

from collections.abc import Iterator
from contextlib import contextmanager

from ghostnet.errors import PackageError


@contextmanager
def needs(package: str, *, extra: str) -> Iterator[None]:
    """Turn a failed import inside the block into advice.

    Raises:
        PackageError: a package is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise PackageError(
            f"this needs the package {package}: pip install 'mindspore-ghostnet[{extra}]' ({error})"
        ) from error
