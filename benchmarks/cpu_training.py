"""Training steps of a network on a CPU: this package, PyTorch and MindSpore's own operators.

``python benchmarks/cpu_training.py`` runs each engine in a process of its own, in turn, with
ghostnet_1x. It writes a file named after the kind of processor, such as
``cpu_training_zen_4.json``, beside this file in ``results``, and the plot of all such files. It
needs the extras ``plot`` and ``torch``. ``--limit avx2`` keeps the engines to AVX2, as on a
processor that has no more. `website/figures.py` then updates docs/cpu_training.md.

``--network ghostnetv3_100`` compares another network, and writes a file such as
``training_ghostnetv3_100_zen_4.json``, without a plot. MindSpore's own operators are left out.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import limits
import numpy as np
from machine import machine
from turns import medians

BATCH, SIZE, CLASSES = 16, 224, 37
NETWORK = "ghostnet_1x"
ROUNDS = 3
RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 4e-5

DOCS = Path(__file__).resolve().parents[1] / "docs"
PACKAGES = ("mindspore", "torch")
TORCH_FILE = "ghostnet.pt"

ENVIRONMENT = dict(os.environ)
"""As it is before MindSpore, once imported, puts its own libraries on LD_LIBRARY_PATH: a PyTorch
that is started with them is a quarter slower."""

Step = Callable[[], float]


def images() -> tuple[np.ndarray, np.ndarray]:
    """A batch of noise and its labels."""
    random = np.random.default_rng(0)
    noise = random.standard_normal((BATCH, 3, SIZE, SIZE)).astype(np.float32)
    return noise, random.integers(0, CLASSES, BATCH)


def mebibytes(field: str) -> float:
    """VmRSS, what this process has now, or VmHWM, the most that it had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def mindspore_step(
    _: Path, name: str = NETWORK, *, fused: bool = False
) -> tuple[Callable[[], None], Step]:
    """How to compile a step in MindSpore, and the step."""
    import mindspore
    from mindspore import Tensor, nn

    from ghostnet import create_model, fuse

    mindspore.set_context(mode=mindspore.GRAPH_MODE)
    network = create_model(name, num_classes=CLASSES).set_train()
    cell = fuse(network, training=True) if fused else network
    parameters = network.trainable_params()
    optimizer = nn.Momentum(parameters, RATE, MOMENTUM, weight_decay=WEIGHT_DECAY)
    with_loss = nn.WithLossCell(cell, nn.CrossEntropyLoss())
    step = nn.TrainOneStepCell(with_loss, optimizer).set_train()
    x, labels = images()
    inputs = Tensor(x), Tensor(labels.astype(np.int32))
    return lambda: step.compile(*inputs), lambda: float(step(*inputs).asnumpy())


def fused_step(folder: Path, name: str) -> tuple[Callable[[], None], Step]:
    """A step of the network fused for training, as `ghostnet train` takes it."""
    from ghostnet.runtime import keep_operators_on_one_thread

    keep_operators_on_one_thread()
    return mindspore_step(folder, name, fused=True)


def torch_step(folder: Path, _: str) -> tuple[Callable[[], None], Step]:
    """A step in eager PyTorch, channels-last; there is nothing to compile."""
    import torch

    network = torch.load(folder / TORCH_FILE, weights_only=False).train()
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        network.parameters(), RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    x, labels = map(torch.from_numpy, images())
    x = x.contiguous(memory_format=torch.channels_last)

    def step() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return lambda: None, step


ENGINES: dict[str, tuple[Callable[[Path, str], tuple[Callable[[], None], Step]], str, int]] = {
    "fused": (fused_step, "this package", 12),
    "torch": (torch_step, "PyTorch", 12),
    "mindspore": (mindspore_step, "MindSpore", 2),
}
"""What makes the step, the name, and the steps to time."""


def median_seconds(call: Callable[[], object], calls: int) -> float:
    """The median time of so many calls."""
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure(engine: str, folder: Path, network: str) -> dict[str, float]:
    """In this process: the median step after two to warm up, and the memory."""
    make, _, steps = ENGINES[engine]
    compile_, step = make(folder, network)
    built = mebibytes("VmRSS")
    compile_()
    compiled = mebibytes("VmRSS")
    for _ in range(min(2, steps - 1)):
        step()
    seconds = median_seconds(step, steps)
    peak = mebibytes("VmHWM")
    return {
        "images_per_second": BATCH / seconds,
        "training_mib": peak - built,
        "compiling_mib": compiled - built,
        "peak_mib": peak,
    }


def race(
    engines: Iterable[str] = tuple(ENGINES), threads: int | None = None, network: str = NETWORK
) -> dict[str, dict[str, float]]:
    """The medians of every engine over rounds in which they take turns.

    A step has all threads by default.
    """
    from ghostnet.models import find_model

    environment = ENVIRONMENT | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    with tempfile.TemporaryDirectory() as folder:
        import torch

        from ghostnet.benchmark.torch_network import GhostNet

        counterpart = GhostNet(find_model(network).architecture, CLASSES)
        torch.save(counterpart, Path(folder) / TORCH_FILE)
        program = (sys.executable, __file__, "--folder", folder, "--network", network, "--engine")
        return medians({engine: (*program, engine) for engine in engines}, ROUNDS, environment)


def plot(path: Path) -> None:
    """Images per second of each engine, as bars, for each file of results."""
    from matplotlib.figure import Figure

    files = sorted(limits.RESULTS.glob("cpu_training_*.json"))
    figure = Figure(figsize=(7, 2 * len(files) + 0.4), layout="constrained")
    panels = figure.subplots(len(files), sharex=True, squeeze=False)[:, 0]
    for axes, file in zip(panels, files, strict=True):
        measured = json.loads(file.read_text())
        names = [ENGINES[engine][1] for engine in measured["engines"]]
        speeds = [one["images_per_second"] for one in measured["engines"].values()]
        axes.bar_label(axes.barh(names, speeds), fmt="%.1f", padding=3)
        axes.invert_yaxis()
        axes.set_title(measured["machine"]["processor"], fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel(f"images per second, training ghostnet_1x, batch {BATCH}")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--limit", choices=limits.NAMES, help="instruction set that engines may use"
    )
    parser.add_argument("--network", default=NETWORK, help="name of the network to train")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        print(json.dumps(measure(arguments.engine, arguments.folder, arguments.network)))
        return
    ENVIRONMENT.update(limits.LIMITS[arguments.limit])
    os.environ.update(ENVIRONMENT)
    from ghostnet import kernels

    other = arguments.network != NETWORK
    engines = ("fused", "torch") if other else tuple(ENGINES)
    benchmark = f"training_{arguments.network}" if other else "cpu_training"
    measured: dict[str, Any] = {
        "batch": BATCH,
        "size": SIZE,
        "classes": CLASSES,
        "rounds": ROUNDS,
        "machine": machine(PACKAGES) | {"processor": limits.limited_processor(arguments.limit)},
        "threads": kernels.threads(),
        "instruction_set": kernels.instruction_set(),
        "engines": race(engines, network=arguments.network),
    }
    file = limits.results_file(benchmark, arguments.limit)
    file.write_text(json.dumps(measured, indent=2) + "\n")
    if not other:
        plot(DOCS / "cpu_training.png")


if __name__ == "__main__":
    main()
