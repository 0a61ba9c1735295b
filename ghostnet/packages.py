"""Optional packages, and the advice to install them."""

from collections.abc import Iterator
from contextlib import contextmanager

from ghostnet.errors import PackageError
from ghostnet.system import machine

WITHOUT_MINDSPORE = (
    "predict, eval, finetune --mode head, convert, verify, serve, hub and the export to ONNX"
)
"""What is possible where there is no MindSpore."""


@contextmanager
def needs(package: str, *, extra: str | None = None) -> Iterator[None]:
    """Turn a failed import inside the block into advice.

    Args:
        package: Name of the package, as pip knows it.
        extra: Extra of this package that installs it; None where the package stands alone.

    Raises:
        PackageError: The package is not installed, or one that it imports.
    """
    try:
        yield
    except ImportError as error:
        wanted = f"'mindspore-ghostnet[{extra}]'" if extra else package
        advice = mindspore_advice() if package == "mindspore" else f"pip install {wanted}"
        raise PackageError(f"this needs the package {package}: {advice} ({error})") from error


def mindspore_advice() -> str:
    """Say how to install MindSpore, or what is possible where it has no release."""
    if machine.has_mindspore_releases():
        return "pip install mindspore"
    return f"it has no release for {machine.without_mindspore()}; {WITHOUT_MINDSPORE} do without"
