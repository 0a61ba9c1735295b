"""How deep in a network its parameters are: what is frozen, and what learns slowly."""

from itertools import chain

from ghostnet.errors import TrainingError
from ghostnet.models.classification import ClassificationNetwork
from ghostnet.models.specs import NetworkSpec, layers_of


def parameter_depths(spec: NetworkSpec) -> dict[str, int]:
    """Return the depth of each parameter: 0 in the stem, 1 in the first block, most at the end."""
    head = [layer for layer in (spec.last, spec.head) if layer]
    parts = [[spec.stem], *([*layers_of(block)] for block in spec.blocks), head, [spec.classifier]]
    return {
        name: depth
        for depth, layers in enumerate(parts)
        for name in chain.from_iterable(layer.parameter_shapes() for layer in layers)
    }


def freeze(network: ClassificationNetwork, blocks: int) -> None:
    """Keep the stem and the first blocks of a network in training as they are.

    Their parameters learn nothing, and their batch norms normalize as in inference.

    Raises:
        TrainingError: The network has fewer blocks.
    """
    if blocks > len(network.spec.blocks):
        raise TrainingError(
            f"freeze: the network has {len(network.spec.blocks)} blocks; freeze at most these, or "
            "use backbone_rate 0"
        )
    depths = parameter_depths(network.spec)
    frozen = {name for name, depth in depths.items() if blocks and depth <= blocks}
    for parameter in network.get_parameters():
        if parameter.name in frozen:
            parameter.requires_grad = False
    for name, cell in network.cells_and_names():
        if f"{name}.moving_mean" in frozen:
            cell.set_train(False)
