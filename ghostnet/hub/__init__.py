"""MindSpore Hub: cards, verified checkpoints, and ``mindspore_hub``'s own `load`.

``import ghostnet.hub as mshub`` is a drop-in for ``import mindspore_hub as mshub``. MindSpore is
imported when a network is first asked for.
"""

from typing import TYPE_CHECKING, Any

from ghostnet.hub.card import Asset, ModelCard, read_card

if TYPE_CHECKING:
    from ghostnet.hub.loader import Model, load, load_weights, open_model

__all__ = ["Asset", "Model", "ModelCard", "load", "load_weights", "open_model", "read_card"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from ghostnet.hub import loader

        return getattr(loader, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
