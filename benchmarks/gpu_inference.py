"""Measure GhostNet on this machine's GPU: the CUDA kernels, PyTorch, and a MobileNetV2 beside them.

Writes ``gpu_inference.json`` and ``.md``, with the device's name, to the folder that is given, by
default ``results`` beside this file. Run from a checkout with nothing else at work on the GPU:
``python benchmarks/gpu_inference.py``; ``benchmarks/on_a_gpu.sh`` also tests the kernels there.
All engines take turns in one process, on the same images; GhostNet's have the same weights.
"""

import json
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from random_parameters import random_parameters
from torch import Tensor, nn
from torch_kernels import TorchKernels

from ghostnet.benchmark.torch_network import ConvUnit, GhostNet
from ghostnet.kernels.cuda.build import library_path
from ghostnet.models import GHOSTNET_1X, Architecture

RESULTS = Path(__file__).parent / "results"
CLASSES = 1000
SIZE = 224
BATCHES = (1, 256)
TYPES = {"float32": torch.float32, "float16": torch.float16}
ROUNDS = 20
SECONDS_A_ROUND = 0.05
MOBILENET_V2 = (
    # expansion, channels, repeats, stride: table 2 of Sandler et al., CVPR 2018
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
    (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip

Call = Callable[[Tensor], Tensor]


class InvertedResidual(nn.Module):
    """A block of MobileNetV2."""

    def __init__(self, in_channels: int, expansion: int, channels: int, stride: int) -> None:
        super().__init__()
        wide = in_channels * expansion
        act = nn.ReLU6(inplace=True)
        units = [ConvUnit(in_channels, wide, activation=act)] if expansion > 1 else []
        units.append(ConvUnit(wide, wide, 3, stride=stride, groups=wide, activation=act))
        self.layers = nn.Sequential(*units, ConvUnit(wide, channels))
        self.adds = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.adds else self.layers(x)


def mobilenet_v2() -> nn.Module:
    """MobileNetV2 of width 1."""
    act = nn.ReLU6(inplace=True)
    layers: list[nn.Module] = [ConvUnit(3, 32, 3, stride=2, activation=act)]
    in_channels = 32
    for expansion, channels, repeats, stride in MOBILENET_V2:
        for index in range(repeats):
            step = stride if index == 0 else 1
            layers.append(InvertedResidual(in_channels, expansion, channels, step))
            in_channels = channels
    layers += [ConvUnit(320, 1280, activation=act), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(0.2), nn.Linear(1280, CLASSES))


class Engine(NamedTuple):
    """One way to run a network on images of a type."""

    name: str
    call: Call


def amp(network: nn.Module) -> Call:
    """Channels last, under autocast to float16."""
    network = network.to(memory_format=torch.channels_last)

    def call(x: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.float16):
            return network(x.to(memory_format=torch.channels_last))

    return call


def engines(ours: TorchKernels, twin: Callable[[], nn.Module], dtype: torch.dtype) -> list[Engine]:
    """Everything that is measured with images of ``dtype``; ours first, eager second."""
    found = [
        Engine("fused", ours),
        Engine("PyTorch eager", twin().to(dtype)),
        Engine("torch.compile", torch.compile(twin().to(dtype))),
        Engine("MobileNetV2, eager", mobilenet_v2().cuda().eval().to(dtype)),
        Engine("MobileNetV2, torch.compile", torch.compile(mobilenet_v2().cuda().eval().to(dtype))),
    ]
    if dtype == torch.float16:
        mixed = amp(twin())
        found.append(Engine("channels-last AMP", lambda x: mixed(x.float())))
    return found


def milliseconds(call: Call, x: Tensor, calls: int) -> float:
    """Of one call, by the GPU's clock, over ``calls`` in a row."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(calls):
        call(x)
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / calls


def measure(found: list[Engine], x: Tensor) -> dict[str, dict[str, float]]:
    """Median and quartiles of each engine's milliseconds; they take turns."""
    calls = {}
    for engine in found:
        milliseconds(engine.call, x, 10)  # compiles, and chooses algorithms
        calls[engine.name] = max(1, round(1000 * SECONDS_A_ROUND / milliseconds(engine.call, x, 5)))
    times: dict[str, list[float]] = {engine.name: [] for engine in found}
    for _ in range(ROUNDS):
        for engine in found:
            times[engine.name].append(milliseconds(engine.call, x, calls[engine.name]))
    return {name: summary(values, len(x)) for name, values in times.items()}


def summary(values: list[float], batch: int) -> dict[str, float]:
    """What is kept of an engine's turns."""
    low, median, high = statistics.quantiles(values, n=4)
    return {"ms": median, "low": low, "high": high, "images_per_second": 1000 * batch / median}


class Launch(NamedTuple):
    """One kernel of a forward pass, and the bytes that it cannot avoid to move."""

    name: str
    bytes: int


def launches(table: Architecture, batch: int, value_bytes: int) -> Iterator[Launch]:
    """Every kernel in order; each map counts once for each kernel that reads or writes it."""

    def moved(maps: int, weights: int) -> int:
        return batch * maps * value_bytes + 4 * weights

    def ghost(read: int, in_pixels: int, wrote: int, out_pixels: int) -> int:
        return moved(read * in_pixels + wrote * out_pixels, (read + 1 + 10) * wrote // 2)

    side, channels = -(-SIZE // 2), table.stem_channels
    yield Launch("stem", moved(3 * SIZE * SIZE + channels * side * side, 28 * channels))
    for index, block in enumerate(table.blocks, 1):
        kernel, stride = block.kernel_size, block.stride
        expanded, out, reduced = block.expansion_channels, block.out_channels, block.se_channels
        after = -(-side // stride)
        before, pixels = side * side, after * after
        yield Launch(f"{index} ghost 1", ghost(channels, before, expanded, pixels))
        if reduced:
            dense = 4 * (expanded * reduced + batch * (expanded + reduced))
            yield Launch(f"{index} reduce", dense)
            yield Launch(f"{index} expand", dense)
        if stride > 1 or channels != out:
            weights = channels * (kernel * kernel + 1 + out)
            yield Launch(f"{index} shortcut", moved(channels * before + out * pixels, weights))
        added = moved(out * pixels, 0)
        yield Launch(f"{index} ghost 2", ghost(expanded, pixels, out, pixels) + added)
        side, channels = after, out
    last, head = table.last_channels, table.head_channels
    yield Launch("last", moved(channels * side * side, channels * last) + 4 * batch * last)
    yield Launch("head", 4 * (last * head + batch * (last + head)))
    yield Launch("classifier", 4 * head * (CLASSES + batch) + batch * CLASSES * value_bytes)


def copy_bandwidth() -> float:
    """Bytes a second that a plain copy in the GPU's memory reads and writes."""
    source = torch.empty(1 << 28, dtype=torch.float32, device="cuda")
    target = torch.empty_like(source)
    best = min(milliseconds(target.copy_, source, 10) for _ in range(5))
    return 2 * source.numel() * 4 / best * 1000


def kernel_shares(ours: TorchKernels, table: Architecture, x: Tensor) -> list[dict[str, Any]]:
    """Each kernel's microseconds and its share of a plain copy's bandwidth."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        ours(x)
        torch.cuda.synchronize()
    ran = [event for event in profile.events() if "run_block" in event.name]
    ran.sort(key=lambda event: event.time_range.start)
    expected = list(launches(table, len(x), x.element_size()))
    if len(ran) != len(expected):
        raise SystemExit(f"{len(ran)} kernels ran, {len(expected)} were expected")
    peak = copy_bandwidth()
    times = [event.time_range.elapsed_us() for event in ran]
    return [
        {"kernel": launch.name, "us": us, "share": launch.bytes / (us * 1e-6) / peak}
        for launch, us in zip(expected, times, strict=True)
    ]


def measure_all() -> Iterator[dict[str, Any]]:
    """Every type and batch."""
    parameters = random_parameters(GHOSTNET_1X, CLASSES)
    ours = TorchKernels(GHOSTNET_1X, parameters, library_path())

    def twin() -> nn.Module:
        copy = GhostNet(GHOSTNET_1X, CLASSES)
        copy.load_parameters(parameters)
        return copy.cuda().eval()

    for type_name, dtype in TYPES.items():
        for batch in BATCHES:
            print(f"{type_name}, batch {batch}", file=sys.stderr)
            x = torch.randn(batch, 3, SIZE, SIZE, device="cuda", dtype=dtype)
            found = engines(ours, twin, dtype)
            expected = twin()(x.float())
            difference = (ours(x).float() - expected).abs().max() / expected.abs().max()
            yield {
                "type": type_name,
                "batch": batch,
                "difference": float(difference),
                "engines": measure(found, x),
                "kernels": kernel_shares(ours, GHOSTNET_1X, x),
            }


def markdown(result: dict[str, Any]) -> Iterator[str]:
    """The tables of a result."""
    yield f"{result['device']}, PyTorch {result['torch']}, CUDA {result['cuda']}"
    for case in result["cases"]:
        yield f"\n### {case['type']}, batch {case['batch']}\n"
        yield "| engine | ms | quartiles | images/s |\n| --- | --- | --- | --- |"
        for name, row in case["engines"].items():
            quartiles = f"{row['low']:.3f} – {row['high']:.3f}"
            yield f"| {name} | {row['ms']:.3f} | {quartiles} | {row['images_per_second']:.0f} |"
        yield "\n| kernel | µs | share of a copy's bandwidth |\n| --- | --- | --- |"
        for row in case["kernels"]:
            yield f"| {row['kernel']} | {row['us']:.1f} | {row['share']:.0%} |"


def main() -> None:
    """Measure, write and print."""
    if not torch.cuda.is_available():
        sys.exit("no CUDA device: nothing is measured (PyTorch needs a GPU and its driver)")
    with torch.inference_mode():
        cases = list(measure_all())
    result = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cases": cases,
    }
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS
    folder.mkdir(exist_ok=True)
    (folder / "gpu_inference.json").write_text(json.dumps(result, indent=1) + "\n")
    table = "\n".join(markdown(result))
    (folder / "gpu_inference.md").write_text(table + "\n")
    print(table)


if __name__ == "__main__":
    main()
