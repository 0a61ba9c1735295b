"""Optional packages, and the advice to install them."""

from collections.abc import Iterator
from contextlib import contextmanager

from ghostnet.errors import PackageError


@contextmanager
def needs(package: str, *, extra: str | None = None) -> Iterator[None]:
    """Turn a failed import inside the block into advice.

    Args:
        package: Name of the package, as pip knows it.
        extra: Extra of this package that installs it; None where the package stands alone.

    Raises:
        PackageError: The package is not installed.
    """
    try:
        yield
    except ImportError as error:
        wanted = f"'mindspore-ghostnet[{extra}]'" if extra else package
        raise PackageError(
            f"this needs the package {package}: pip install {wanted} ({error})"
        ) from error
