"""The tables of figures in the documents, in Markdown."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import yaml
from measured import (
    BENCHMARKS,
    ENGINES,
    PEERS,
    PETS,
    PETS_CLASSES,
    RUNS,
    Case,
    TrainingRun,
    by_processor,
    counted,
    fastest_peer,
    inference,
    log_of,
    results,
)

from ghostnet.hub.claims import ClaimTable
from ghostnet.hub.registry import find_card
from ghostnet.models.registry import find_model
from ghostnet.verify import count


def write_table(text: str, name: str, content: str) -> str:
    """Write a table between its two comments.

    Raises:
        ValueError: The text does not have the comments, or has them more than once.
    """
    begin, end = f"<!-- figures: {name} -->\n", "\n<!-- /figures -->"
    pattern = f"{re.escape(begin)}.*?{re.escape(end)}"
    text, found = re.subn(pattern, lambda _: begin + content + end, text, flags=re.DOTALL)
    if found != 1:
        raise ValueError(f"expected the table {name} once, found it {found} ×")
    return text


def table(header: str, rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    names = header.split(" | ")
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def inference_table() -> str:
    """Return times per image beside those of the fastest peer, with a column a processor."""

    def cell(case: Case, file: str) -> str:
        times = inference(file)[case]
        ours = times["ghostnet"]
        engine = fastest_peer(case, file)
        peak = results(file)["fma_peak_g_per_second_and_core"] * 1e6 * case.threads
        multiply_adds = count(case.network, PETS_CLASSES).multiply_adds * case.batch
        faster = f"{times[engine] / ours:.2f} × {PEERS[engine]}"
        return f"**{ours / case.batch:.2f}**, {faster}, {multiply_adds / (ours * peak):.0%}"

    files = by_processor("cpu_inference")
    header = " | ".join(("network", "batch", "threads", *files))
    rows = (
        (f"`{case.network}`", str(case.batch), str(case.threads))
        + tuple(cell(case, file) for file in files.values())
        for case in inference()
    )
    return table(header, rows)


def engine_table() -> str:
    """Return the times per image of every engine, with a column a processor."""

    def cell(case: Case, engine: str, file: str) -> str:
        time = inference(file)[case].get(engine)
        return f"{time / case.batch:.2f}" if time else "–"

    files = by_processor("cpu_inference")
    header = " | ".join(("network", "batch", "threads", "engine", *files))
    rows = (
        (f"`{case.network}`", str(case.batch), str(case.threads), engine)
        + tuple(cell(case, engine, file) for file in files.values())
        for case in inference()
        for engine in dict.fromkeys(chain(*(inference(file)[case] for file in files.values())))
    )
    return table(header, rows)


def processor_table() -> str:
    """Return what was measured on which processor, with which packages."""

    def row(name: str, file: str) -> Iterator[str]:
        machine = results(file)["machine"]
        yield name
        yield f"{results(file)['fma_peak_g_per_second_and_core']:.0f}"
        yield ", ".join(f"{package} {number}" for package, number in machine["packages"].items())

    header = "processor | G multiply-adds per second and core | packages"
    return table(header, (row(*entry) for entry in by_processor("cpu_inference").items()))


def concurrency_table() -> str:
    """Return the images per second of several callers of one session."""
    rows = results("concurrency.json")["images_per_second"]
    names = {**ENGINES, "fused": ENGINES["ghostnet"]}

    def row(case: str, speeds: dict[str, float]) -> Iterator[str]:
        engine, threads = case.split(", ")
        yield f"{names[engine]}, {threads.removesuffix(' threads a call')}"
        yield from (f"{speed:.0f}" for speed in speeds.values())

    callers = (f"callers: {count}" for count in next(iter(rows.values())))
    header = " | ".join(("engine, threads of a call", *callers))
    return table(header, (row(*entry) for entry in rows.items()))


def training_table() -> str:
    """Return speed and memory of training steps, with a row a processor and engine."""
    names = {**ENGINES, "fused": ENGINES["ghostnet"]}

    def row(processor: str, engine: str, engines: dict[str, dict[str, float]]) -> Iterator[str]:
        one = engines[engine]
        speed = one["images_per_second"]
        yield from (processor, names[engine], f"{speed:.1f}")
        yield f"{speed / engines['torch']['images_per_second']:.2f} ×"
        yield from (f"{one[key]:.0f}" for key in ("training_mib", "compiling_mib", "peak_mib"))

    header = (
        "processor | engine | images per second | over PyTorch's | memory of training, MiB | of "
        "which compilation, MiB | peak of the process, MiB"
    )
    measured = {
        name: results(file)["engines"] for name, file in by_processor("cpu_training").items()
    }
    rows = (row(name, engine, engines) for name, engines in measured.items() for engine in engines)
    return table(header, rows)


def run_table() -> str:
    """Return the training runs of the models of the package."""

    def row(name: str, run: TrainingRun) -> Iterator[str]:
        config = yaml.safe_load((BENCHMARKS / f"{name}.yaml").read_text())
        epochs = log_of(name)
        best = max(epochs, key=lambda epoch: float(epoch["top1"]))
        seconds = sum(run.images / float(epoch["images_per_second"]) for epoch in epochs)
        size = config["image_size"]
        log = f"../benchmarks/results/{name.replace('/', '_')}"
        yield f"`{name}.yaml`"
        yield f"{run.images:,}"
        yield f"{size}, {config.get('val_size', size)}"
        yield f"{len(epochs)} of {config['epochs']}"
        yield f"{seconds / 60:.0f} min"
        yield best["epoch"]
        yield f"{round(run.held_out * float(best['top1']))} of {run.held_out:,}"
        yield f"[log]({log}.csv), [curve]({log}.png)"

    header = (
        "configuration | training images | pixels in training, in evaluation | epochs | training "
        "steps | best epoch | right | files"
    )
    return table(header, (row(*entry) for entry in RUNS.items()))


def backbone_table() -> str:
    """Return what new classifiers on the features of several models have right."""

    def row(model: str, tasks: dict[str, dict[str, float]]) -> Iterator[str]:
        yield f"`{model}`"
        for found in tasks.values():
            yield f"{found['correct']:.0f} of {found['images']:.0f}"
            yield f"{found['seconds']:.0f} s"

    header = "model | flowers right | time | test images of pets right | time"
    return table(header, (row(*entry) for entry in results("backbones.json").items()))


def comparison_table() -> str:
    """Return the table of the Pets card beside counted and measured figures."""
    card = card_table()
    measured = results("comparison.json")

    def row(model: str, claims: dict[str, str]) -> Iterator[str]:
        parameters, multiply_adds = counted(model)
        yield from (model, claims["FLOPs (M)"], f"{multiply_adds:.1f}", f"{parameters:.2f}")
        yield claims["Latency (ms)"].replace("-", "–")
        others = {engine: one["milliseconds"] for engine, one in measured[model].items()}
        for time in (others["onnxruntime"], others.get("ghostnet")):
            yield f"{time:.2f}" if time else "–"
        yield claims["Accuracy (Top1)"]

    header = (
        "model | FLOPs (M), card | counted | parameters (M), counted | latency (ms), card | ONNX "
        "Runtime | this package | top-1 (%), card"
    )
    return table(header, (row(*entry) for entry in card.by_model().items()))


def accuracy_table() -> str:
    """Return the accuracy of the networks that one recipe trained, beside the card's."""
    claims = {find_model(model).name: row for model, row in card_table().by_model().items()}

    def row(name: str, found: dict[str, Any]) -> Iterator[str]:
        yield from (f"`{name}`", claims[name]["Accuracy (Top1)"])
        yield from (str(found["correct"]), f"{100 * found['top1']:.1f}")
        yield f"{100 * found['low']:.1f} to {100 * found['high']:.1f}"

    header = "network | top-1 (%), card | images right | top-1 (%) | 95 % interval"
    trained = results("four_accuracies.json")["networks"]
    return table(header, (row(*entry) for entry in trained.items()))


def pair_table() -> str:
    """Return how each two of the networks that one recipe trained differ."""

    def row(pair: dict[str, Any]) -> Iterator[str]:
        yield " and ".join(f"`{name}`" for name in pair["networks"])
        yield from map(str, pair["only_right"])
        yield f"{pair['chance']:.2g}" if pair["chance"] >= 0.001 else "< 0.001"

    header = "networks | right only in the first | only in the second | chance if equally good"
    return table(header, (row(pair) for pair in results("four_accuracies.json")["pairs"]))


def card_table() -> ClaimTable:
    """Return the table of the Pets card that compares networks."""
    return next(table for table in find_card(PETS).claims if "Comparison" in table.title)


def serving_table() -> str:
    """Return what servers give at several numbers of connections."""
    names = {"ghostnet": "`ghostnet serve`"}

    def row(name: str, connections: str, figures: dict[str, float]) -> Iterator[str]:
        yield names.get(name, name.replace("litserve", "LitServe"))
        yield connections
        yield from (f"{figures[key]:.0f}" for key in ("images_per_second", "p50_ms", "p99_ms"))
        yield f"{figures['peak_mib']:.0f}"

    header = "server | connections | images per second | median, ms | 99th percentile, ms | MiB"
    steps = results("serving.json")["servers"].items()
    rows = (row(name, *step) for name, cases in steps for step in cases.items())
    return table(header, rows)


def folder_table() -> str:
    """Return the images per second from JPEG files to labels."""
    names = {"ghostnet": "this package", "timm": "timm, PyTorch", "onnxruntime": "ONNX Runtime"}

    def row(size: str, speeds: dict[str, float]) -> Iterator[str]:
        yield size
        yield from (f"{speeds[engine]:.0f}" for engine in names)
        yield f"{speeds['ghostnet'] / max(speeds['timm'], speeds['onnxruntime']):.2f} ×"

    header = " | ".join(("files", *names.values(), "over the better peer"))
    return table(
        header, (row(*entry) for entry in results("folder.json")["images_per_second"].items())
    )


def cluster_table() -> str:
    """Return the images per second of one core, one machine and Ray."""

    def row(name: str, processors: int, images_per_second: float) -> Iterator[str]:
        yield name
        yield str(processors)
        yield f"{images_per_second:.0f}"
        yield f"{images_per_second / processors:.0f}"

    header = "run | processors | images per second | for each processor"
    return table(header, (row(**entry) for entry in results("cluster.json")["rows"]))


def more_cores_table() -> str:
    """Return measured and estimated times of one image by the number of cores."""
    found = results("more_cores.json")

    def row(cores: str, time: float) -> Iterator[str]:
        yield cores
        yield "measured" if cores in found["milliseconds"] else "estimated"
        yield f"{time:.2f}"
        yield f"{found['estimate']['1'] / time:.1f} ×"

    header = "cores | time | milliseconds | over one core"
    return table(header, (row(*entry) for entry in found["estimate"].items()))


def int8_table() -> str:
    """Return times in floats and in 8 bits, and how many images are named right."""
    found = results("int8.json")

    def row(case: str, figures: dict[str, float]) -> Iterator[str]:
        engine, dtype, threads = case.split(", ")
        yield f"{ENGINES[engine]}, {dtype}"
        yield threads
        yield from (f"{figures[key]:.2f}" for key in ("batch 1", "batch 32"))
        yield f"{figures['right']:.0f} of {found['images']}"

    header = "engine | threads | one image | 32 images | right"
    return table(header, (row(*entry) for entry in found["rows"].items()))


IMAGES = 100_000_000
HOUR_PRICE = 0.04
"""Of a virtual processor on demand, in dollars."""

REQUEST_PRICE = 0.0004 / 1000


def cost_table() -> str:
    """Return what it costs to label many images, for two sizes of files."""
    core, _, ray = (
        row["images_per_second"] / row["processors"] for row in results("cluster.json")["rows"]
    )
    folder = results("folder.json")
    camera = folder["images_per_second"]["12 MP"]["ghostnet"] / folder["machine"]["processors"]
    speeds, share = (core, camera), ray / core
    hours = [IMAGES / (3600 * speed * share) for speed in speeds]
    requests = IMAGES * REQUEST_PRICE
    rows = (
        ("*r*, images per second and core", *(f"{speed:.0f}" for speed in speeds)),
        ("*u*, share of the time that a core works", *[f"{share:.2f}"] * 2),
        ("core hours", *(f"{hour:,.0f}" for hour in hours)),
        ("hours on 64 cores", *(f"{hour / 64:.1f}" for hour in hours)),
        ("cores", *(f"${hour * HOUR_PRICE:.0f}" for hour in hours)),
        ("read requests", *[f"${requests:.0f}"] * 2),
        ("together", *(f"${hour * HOUR_PRICE + requests:.0f}" for hour in hours)),
    )
    return table("photographs | short side of 256 pixels | 12 megapixels", rows)


def busy_table() -> str:
    """Return the images per second of engines beside busy processes."""
    speeds = results("busy_machine.json")["speeds"]
    names = {**ENGINES, "fused": ENGINES["ghostnet"]}

    def row(case: str, engine: str) -> Iterator[str]:
        yield from (case, names[engine])
        yield from (f"{condition[case][engine]:.0f}" for condition in speeds.values())

    header = " | ".join(("images per second", "engine", *speeds))
    cases = next(iter(speeds.values()))
    return table(header, (row(case, engine) for case in cases for engine in cases[case]))


TABLES = {
    "inference": ("docs/kernels.md", inference_table),
    "processors": ("docs/cpu_inference.md", processor_table),
    "engines": ("docs/cpu_inference.md", engine_table),
    "concurrency": ("docs/kernels.md", concurrency_table),
    "training": ("docs/cpu_training.md", training_table),
    "comparison": ("docs/comparison.md", comparison_table),
    "accuracies": ("docs/comparison.md", accuracy_table),
    "pairs": ("docs/comparison.md", pair_table),
    "runs": ("docs/training.md", run_table),
    "backbones": ("docs/training.md", backbone_table),
    "serving": ("docs/serving.md", serving_table),
    "folder": ("docs/scaling.md", folder_table),
    "cluster": ("docs/scaling.md", cluster_table),
    "more_cores": ("docs/kernels.md", more_cores_table),
    "int8": ("docs/kernels.md", int8_table),
    "costs": ("docs/scaling.md", cost_table),
    "busy": ("docs/kernels.md", busy_table),
}
"""Document and content of each table, by name."""
