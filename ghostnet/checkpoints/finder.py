"""The network among the tensors of a file, whatever its prefix.

A training run saves more than the network: counters, settings, and optimizer state and averages,
which repeat the names of the parameters after a prefix. A wrapper puts a prefix before the names of
its network. PyTorch's files nest dicts; `ghostnet.checkpoints.pytorch` joins their names with
``/``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ghostnet.checkpoints.parameters import Parameters
from ghostnet.errors import CheckpointError, listed
from ghostnet.models.weights import Use

CONTAINERS = ("state_dict_ema", "model_ema", "ema", "state_dict", "model", "module")
"""Containers of a network in the order in which timm takes them; others come last."""

COMPILED = "_orig_mod."
"""What ``torch.compile`` puts into the names of a network, at any place."""

_COUNTER = re.compile(r".*(num_batches_tracked|total[^.]*)", re.DOTALL)
"""What is counted beside a network: by PyTorch's batch norms, and by thop (``total_ops``)."""

_NAME = re.compile(
    r"((?:.+?[./])??)"
    r"((?:conv_stem|bn1|conv_head|classifier(?:\.1)?)\.\w+|(?:blocks|features)\.\d.*)",
    re.DOTALL,
)
"""A prefix, empty or up to a dot or slash, and a network's own name for a parameter."""

_BLOCKS = ("blocks.", "features.")

OPTIMIZER_STATE = {
    *("accum", "accum_update", "adam_m", "adam_v", "exp_avg", "exp_avg_sq", "lamb_m", "lamb_v"),
    *("max_exp_avg_sq", "mean_grad", "mean_square", "moment", "moment1", "moment2", "moments"),
    *("momentum_buffer", "optimizer", "square_avg", "stat", "vhat"),
}
"""Prefixes of what an optimizer keeps for each parameter."""

_STATISTICS = ("moving_mean", "running_mean")
"""Optimizer state lacks these, unless the optimizer was given them too."""


@dataclass(frozen=True)
class Found:
    """A network among the tensors of a file.

    Attributes:
        parameters: The tensors by name, without the prefix.
        prefix: What the names start with in the file.
        use: Whether the tensors are an average or the raw weights.
        alternative: Whether the file also holds the other of the two.
        left_out: Names of everything else in the file.
    """

    parameters: Parameters
    prefix: str
    use: Use
    alternative: bool
    left_out: tuple[str, ...]


def find_network(
    tensors: Mapping[str, NDArray[Any]], name: str = "checkpoint", use: Use | None = None
) -> Found:
    """Find the tensors of a network, under any library's names.

    Args:
        tensors: Tensors of a file.
        name: What errors call the file.
        use: Whether to take the average or the raw weights. By default, the average if it has a
            container of its own, as in timm's files, and the raw weights otherwise.

    Returns:
        The network; all tensors if none is named like a part of a network.

    Raises:
        CheckpointError: The file holds several networks, or none of the kind asked for.
    """
    groups = _groups(tensors, name)
    networks = _networks(groups)
    if not networks and use is None:
        return Found(dict(tensors), "", Use.RAW, False, ())
    averages = _originals(prefix for prefix in networks if _is_average(prefix))
    raw = _originals(prefix for prefix in networks if not _is_average(prefix))
    prefix = _choose({Use.EMA: averages, Use.RAW: raw}, name, use)
    chosen = groups[prefix]
    kept = set(chosen.values())
    return Found(
        parameters={own: tensors[key] for own, key in chosen.items()},
        prefix=prefix,
        use=Use.EMA if prefix in averages else Use.RAW,
        alternative=bool(averages and raw),
        left_out=tuple(key for key in tensors if key not in kept),
    )


def _groups(names: Iterable[str], file: str) -> dict[str, dict[str, str]]:
    """Map each prefix to the parameters behind it: their names without it, and in the file."""
    groups: dict[str, dict[str, str]] = {}
    for name in names:
        if _COUNTER.fullmatch(name):
            continue
        if match := _NAME.fullmatch(name.replace(COMPILED, "")):
            group = groups.setdefault(match[1], {})
            if match[2] in group:
                raise CheckpointError(
                    f"{file}: {group[match[2]]} and {name} are the same parameter"
                )
            group[match[2]] = name
    return groups


def _networks(groups: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the prefixes of networks, which have blocks; of optimizer state only if all are."""
    found = [p for p, names in groups.items() if any(n.startswith(_BLOCKS) for n in names)]
    found = [p for p in found if any(n.endswith(_STATISTICS) for n in groups[p])] or found
    return [p for p in found if not OPTIMIZER_STATE & set(_parts(p))] or found


def _originals(prefixes: Iterable[str]) -> list[str]:
    """Leave out the prefixes that repeat another behind a prefix of their own."""
    found = list(prefixes)
    repeated: set[str] = set()
    ends: list[str] = []  # each begins with the one before it: prefixes are sorted backwards
    for mirrored in sorted(prefix[::-1] for prefix in found):
        while ends and not mirrored.startswith(ends[-1]):
            ends.pop()
        if any(mirrored[len(end)] in "./" for end in ends):
            repeated.add(mirrored[::-1])
        ends.append(mirrored)
    return [prefix for prefix in found if prefix not in repeated]


def _is_average(prefix: str) -> bool:
    return any("ema" in part.lower().split("_") for part in _parts(prefix))


def _parts(prefix: str) -> list[str]:
    return re.split(r"[./]", prefix)


def _choose(kinds: Mapping[Use, list[str]], name: str, use: Use | None) -> str:
    """Choose among the prefixes of averages and of raw weights."""
    # Slashes end the names of containers, dots those of wrappers and copies.
    contained = [p for p in kinds[Use.EMA] if _is_average(p.rpartition("/")[0])]
    candidates = kinds[use] if use else contained or kinds[Use.RAW] or kinds[Use.EMA]
    if not candidates:
        wanted = "average of the weights" if use is Use.EMA else "weights other than an average"
        raise CheckpointError(f"{name} holds no {wanted}; leave out --use")
    ranks = {prefix: _rank(prefix) for prefix in candidates}
    first = min(ranks.values())
    best = [prefix for prefix in candidates if ranks[prefix] == first]
    if len(best) > 1:
        raise CheckpointError(
            f"{name} holds several networks, under {listed(best)}; save the one you want by itself"
        )
    return best[0]


def _rank(prefix: str) -> int:
    """Return the place of a prefix in the order of containers."""
    parts = _parts(prefix)
    return next((i for i, part in enumerate(CONTAINERS) if part in parts), len(CONTAINERS))
