"""Weights as timm writes them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from bundled_models import FLOWERS
from safetensors.numpy import save_file

from ghostnet.checkpoints import Parameters
from ghostnet.hub import open_model


def write_flowers(path: Path) -> Path:
    """Write the bundled model of the flowers with timm's names and counters."""
    parameters = timm_names(open_model(FLOWERS).parameters)
    counters = {
        name.replace("running_mean", "num_batches_tracked"): np.array(7)
        for name in parameters
        if name.endswith("running_mean")
    }
    save_file({name: np.ascontiguousarray(x) for name, x in (parameters | counters).items()}, path)
    return path


PYTORCH_NORMS = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def mindcv_names(parameters: Parameters) -> Parameters:
    """The parameters of a GhostNet under MindCV's names, every block in a stage of its own."""
    return timm_names(parameters, norms={})


def timm_names(parameters: Parameters, norms: Mapping[str, str] = PYTORCH_NORMS) -> Parameters:
    """The parameters of a GhostNet under timm's names, every block in a stage of its own."""
    renamed = {}
    for name, array in parameters.items():
        parts = name.split(".")
        parts[-1] = norms.get(parts[-1], parts[-1])
        if parts[0] == "blocks":
            parts[1] += ".0"
            rest = ".".join(parts[2:])
            for ours, theirs in (
                ("primary_conv.conv", "primary_conv.0"),
                ("primary_conv.bn", "primary_conv.1"),
                ("cheap_operation.conv", "cheap_operation.0"),
                ("cheap_operation.bn", "cheap_operation.1"),
                ("dw.conv", "conv_dw"),
                ("dw.bn", "bn_dw"),
                ("shortcut.0.conv", "shortcut.0"),
                ("shortcut.0.bn", "shortcut.1"),
                ("shortcut.1.conv", "shortcut.2"),
                ("shortcut.1.bn", "shortcut.3"),
            ):
                if rest.startswith((ours + ".", f"ghost1.{ours}.", f"ghost2.{ours}.")):
                    rest = rest.replace(ours, theirs, 1)
                    break
            else:
                rest = f"bn1.{parts[-1]}" if rest.startswith("bn.") else rest
            renamed[f"blocks.{parts[1]}.{rest}"] = array
        else:
            renamed[".".join(parts)] = array
    return renamed
