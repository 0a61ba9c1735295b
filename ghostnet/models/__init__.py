"""What a network is: architecture tables, their layers, the registry, and MindSpore cells.

Only the cells (`ghostnet.models.layers`, `ghostnet.models.network`) import MindSpore, and only when
one of their names is first used.
"""

from typing import TYPE_CHECKING

from ghostnet.lazy import lazy_names
from ghostnet.models.architectures import (
    GHOSTNET_1X,
    GHOSTNET_600M,
    GHOSTNET_INT8_1X,
    GHOSTNET_NOSE_1X,
    GHOSTNETV2_1X,
    GHOSTNETV2_ZOO_1X,
    GHOSTNETV3_1X,
    MOBILENET_V2_1X,
    REPGHOSTNET_1X,
    Architecture,
    Block,
    make_divisible,
    scale_width,
)
from ghostnet.models.cost import Complexity, complexity
from ghostnet.models.registry import MODELS, ModelEntry, find_model, list_models
from ghostnet.models.specs import LayerSpec, NetworkSpec, network_spec

if TYPE_CHECKING:
    from ghostnet.models.classification import ClassificationNetwork
    from ghostnet.models.layers import GhostBottleneck, GhostModule, SqueezeExcite
    from ghostnet.models.mobilenet_v2 import MobileNetV2
    from ghostnet.models.network import (
        GhostNet,
        StageFeatures,
        build_network,
        create_network,
        ghostnet_1x,
        ghostnet_600m,
        ghostnet_int8_1x,
        ghostnet_nose_1x,
        mobilenet_v2_1x,
    )

__all__ = [
    "GHOSTNETV2_1X",
    "GHOSTNETV2_ZOO_1X",
    "GHOSTNETV3_1X",
    "GHOSTNET_1X",
    "GHOSTNET_600M",
    "GHOSTNET_INT8_1X",
    "GHOSTNET_NOSE_1X",
    "MOBILENET_V2_1X",
    "MODELS",
    "REPGHOSTNET_1X",
    "Architecture",
    "Block",
    "ClassificationNetwork",
    "Complexity",
    "GhostBottleneck",
    "GhostModule",
    "GhostNet",
    "LayerSpec",
    "MobileNetV2",
    "ModelEntry",
    "NetworkSpec",
    "SqueezeExcite",
    "StageFeatures",
    "build_network",
    "complexity",
    "create_network",
    "find_model",
    "ghostnet_1x",
    "ghostnet_600m",
    "ghostnet_int8_1x",
    "ghostnet_nose_1x",
    "list_models",
    "make_divisible",
    "mobilenet_v2_1x",
    "network_spec",
    "scale_width",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ghostnet.models.classification": ("ClassificationNetwork",),
        "ghostnet.models.layers": ("GhostBottleneck", "GhostModule", "SqueezeExcite"),
        "ghostnet.models.mobilenet_v2": ("MobileNetV2",),
        "ghostnet.models.network": (
            "GhostNet",
            "StageFeatures",
            "build_network",
            "create_network",
            "ghostnet_1x",
            "ghostnet_600m",
            "ghostnet_int8_1x",
            "ghostnet_nose_1x",
            "mobilenet_v2_1x",
        ),
    },
)
