"""MindSpore Hub: cards, verified checkpoints, and ``mindspore_hub``'s own `load`.

``import ghostnet.hub as mshub`` is a drop-in for ``import mindspore_hub as mshub``.
"""

from typing import TYPE_CHECKING

from ghostnet.lazy import lazy_names

if TYPE_CHECKING:
    from ghostnet.hub.card import Asset, ModelCard, read_card
    from ghostnet.hub.loader import create_model, load, load_weights
    from ghostnet.hub.opener import open_model

__all__ = [
    "Asset",
    "ModelCard",
    "create_model",
    "load",
    "load_weights",
    "open_model",
    "read_card",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ghostnet.hub.card": ("Asset", "ModelCard", "read_card"),
        "ghostnet.hub.loader": ("create_model", "load", "load_weights"),
        "ghostnet.hub.opener": ("open_model",),
    },
)
