"""Parameters of networks without released weights, drawn at random."""

import numpy as np
from numpy.typing import NDArray

from ghostnet.models import Architecture, network_spec


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
