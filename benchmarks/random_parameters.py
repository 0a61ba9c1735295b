"""Parameters of networks without released weights, drawn at random."""

import numpy as np
from numpy.typing import NDArray

from ghostnet.models import GHOSTNET_INT8_1X, Architecture, network_spec


def random_parameters(
    architecture: Architecture, num_classes: int, seed: int = 0
) -> dict[str, NDArray[np.float32]]:
    """Draw weights that keep activations in range, and batch norms as after training."""
    generator = np.random.default_rng(seed)

    branches = (".branches.", ".scale.", ".skip.", ".fusion_bn.")

    def draw(name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        if name.endswith("weight"):
            return generator.standard_normal(shape) * np.prod(shape[1:]) ** -0.5
        if name.endswith(("gamma", "moving_variance")):
            values = generator.uniform(0.7, 1.3, shape)
            is_branch = name.endswith("variance") and any(part in name for part in branches)
            return values * 16 if is_branch else values  # branches are summed
        return generator.normal(0, 0.1, shape)

    shapes = network_spec(architecture, num_classes).parameter_shapes()
    return {name: draw(name, shape).astype(np.float32) for name, shape in shapes.items()}


def random_quantized_parameters(num_classes: int) -> dict[str, NDArray[np.float32]]:
    """Draw the parameters of the int8 network, in their order, by a rule that is kept.

    The released code's logits for them are known.
    """
    generator = np.random.default_rng(7)
    parameters: dict[str, NDArray[np.float32]] = {}
    shapes = network_spec(GHOSTNET_INT8_1X, num_classes).parameter_shapes()
    for name, shape in shapes.items():
        layer, _, leaf = name.rpartition(".")
        match leaf:
            case "weight":
                values = generator.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
            case "gamma" | "moving_variance":
                values = generator.uniform(0.5, 1.5, shape)
            case "scale_a":
                values = generator.uniform(0.02, 0.05, shape)
            case "zp_a":
                values = generator.integers(-128, 1, shape)
            case "scale_w":
                weight = parameters[f"{layer}.weight"]
                values = abs(weight.reshape(len(weight), -1)).max(axis=1) / 127
            case _:
                values = generator.standard_normal(shape) * 0.1
        parameters[name] = values.astype(np.float32)
    return parameters
