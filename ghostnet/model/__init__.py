"""An opened model, and its use: images to labels or features, and its accuracy."""

from ghostnet.model.model import Model

__all__ = ["Model"]
