"""Commands that take turns, so that a machine that slows down slows all of them."""

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence


def medians(
    commands: Mapping[str, Sequence[str]],
    rounds: int,
    environment: Mapping[str, str] | None = None,
) -> dict[str, dict[str, float]]:
    """Run commands in turn, round by round.

    Args:
        commands: Commands whose last line of output is a JSON object, figures by name.
        rounds: Turns of each command.
        environment: Environment variables of the commands, by default those of this process.

    Returns:
        The median of each figure, by command.
    """
    samples: dict[str, list[dict[str, float]]] = {key: [] for key in commands}
    for _ in range(rounds):
        for key, command in commands.items():
            done = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, check=True, env=environment
            )
            samples[key].append(json.loads(done.stdout.splitlines()[-1]))
    return {
        key: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for key, runs in samples.items()
    }
