"""Commands that take turns, so that a machine that slows down slows all of them."""

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence


def medians(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, dict[str, float]]:
    """Run commands in turn, round by round; each prints figures by name, as one JSON object.

    Returns:
        The median of each figure, by command.
    """
    samples: dict[str, list[dict[str, float]]] = {key: [] for key in commands}
    for _ in range(rounds):
        for key, command in commands.items():
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            samples[key].append(json.loads(done.stdout))
    return {
        key: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for key, runs in samples.items()
    }
