"""Labels of many images: files of results, and Ray."""

from typing import TYPE_CHECKING

from ghostnet.lazy import lazy_names

if TYPE_CHECKING:
    from ghostnet.inference.ray_classifier import RayClassifier

__all__ = ["RayClassifier"]

__getattr__, __dir__ = lazy_names(
    __name__, {"ghostnet.inference.ray_classifier": ("RayClassifier",)}
)
