"""Keep the figures in the documents equal to the results of the benchmarks.

``python website/figures.py`` writes the figures of `benchmarks/results` into the documents. A test
fails where that would change anything.

`SENTENCES` lists every sentence with figures, and `TABLES` every table. A table stands between the
lines ``<!-- figures: NAME -->`` and ``<!-- /figures -->`` of its document.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ghostnet.hub.claims import ClaimTable
from ghostnet.hub.registry import find_card
from ghostnet.verify import count

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
DRAWING = "docs/images/latency.svg"

PETS = "noah-cvlab/gpu/1.0/ghostnet_v1.0_oxford_pets"
PETS_CLASSES = 37

BENCHMARKS = ROOT / "benchmarks"


class TrainingRun(NamedTuple):
    """A run that made a model of the package: its training images, and those held out."""

    images: int
    held_out: int


RUNS = {
    "imagenet/first": TrainingRun(144859, 1463),
    "imagenet/second": TrainingRun(25532, 790),
    "pets/train": TrainingRun(3820, 218),
    "flowers/first": TrainingRun(2934, 370),
    "flowers/second": TrainingRun(2934, 370),
}
"""Runs by the name of their configuration, without its suffix, in `benchmarks`."""

ENGINES = {
    "ghostnet": "this package",
    "openvino": "OpenVINO",
    "onnxruntime": "ONNX Runtime",
    "mnn": "MNN",
    "ncnn": "ncnn",
    "litert": "LiteRT",
    "torch-compile": "torch.compile",
    "torch": "PyTorch",
    "mindspore": "MindSpore",
}
"""Engines as the documents call them, in the order of tables and drawings."""

PEERS = {engine: name for engine, name in ENGINES.items() if engine != "ghostnet"}
"""Engines that this package is compared with."""


# Results --------------------------------------------------------------------------------------


class Case(NamedTuple):
    """One comparison of engines."""

    network: str = "ghostnet_1x"
    batch: int = 1
    threads: int = 2


ONE_IMAGE = Case()
ONE_THREAD = Case(threads=1)
BATCH = Case(batch=32)


@cache
def results(name: str) -> Any:
    """Read a file of results: a JSON document, or the rows of a CSV file."""
    text = (RESULTS / name).read_text()
    return list(csv.DictReader(text.splitlines())) if name.endswith(".csv") else json.loads(text)


MAIN = "cpu_inference_zen_4.json"
"""Results of the processor that the READMEs speak of."""


def inference(file: str = MAIN) -> dict[Case, dict[str, float]]:
    """Return the milliseconds of a call, by case and engine."""
    times = {}
    for entry in results(file)["cases"]:
        case = Case(*(entry["case"][field] for field in Case._fields))
        ran = [one for one in entry["measurements"] if not one["error"]]
        times[case] = {one["engine"]: one["milliseconds"] for one in ran}
        times[case].setdefault(
            "ghostnet", times[case]["mindspore-fused"]
        )  # version 1.0 had no session
    return times


def counted(model: str) -> Iterator[float]:
    """Yield the parameters and the multiply-adds of a network, in millions."""
    yield from (number / 1e6 for number in count(model, PETS_CLASSES))


def log_of(run: str) -> list[dict[str, str]]:
    """Return the epochs of a run."""
    rows: list[dict[str, str]] = results(f"{run.replace('/', '_')}.csv")
    return rows


# Sentences ------------------------------------------------------------------------------------


class Sentence(NamedTuple):
    """A sentence with figures.

    Attributes:
        document: Its document.
        template: Its text, with a `str.format` field for each figure. It begins and ends with
            words; a space stands for any white space.
        figures: Returns the values of the fields.
    """

    document: str
    template: str
    figures: Callable[[], Iterable[Any]]

    def write(self, text: str) -> str:
        """Write the figures into the text of the document.

        Raises:
            ValueError: The text does not have the sentence, or has it more than once.
        """
        parts = re.split(r"(\{.*?\})", self.template)
        words, fields = parts[::2], parts[1::2]
        values = [field.format(value) for field, value in zip(fields, self.figures(), strict=True)]
        spaced = (r"\s+".join(map(re.escape, part.split(" "))) for part in words)
        pattern = r"[^|]{1,40}?".join(f"({part})" for part in spaced)

        def replace(match: re.Match[str]) -> str:
            return "".join(chain(*zip_longest(match.groups(), values, fillvalue="")))

        text, found = re.subn(pattern, replace, text)
        if found != 1:
            raise ValueError(f"{self.document}: expected once, found {found} ×: {self.template}")
        return text


def one_image() -> Iterator[Any]:
    """Yield the figures of the first screen of the READMEs."""
    yield results(MAIN)["machine"]["processor"]
    for engine in ("ghostnet", "openvino"):
        yield inference()[ONE_IMAGE][engine]
        yield BATCH.batch / inference()[BATCH][engine] * 1000
    yield inference()[ONE_IMAGE]["mindspore"]


def startup() -> Iterator[str]:
    """Yield seconds and MiB of `ghostnet predict`, without and with MindSpore."""
    commands = results("startup.json")["commands"]
    for command in ("ghostnet predict", "ghostnet predict --no-fuse"):
        yield f"{commands[command]['seconds']:.1f}"
        yield f"{commands[command]['peak_mib']:.0f}"


def footprint() -> Iterator[float]:
    """Yield the MiB of an installation without and with MindSpore."""
    yield from (results("footprint.json")[f"{name}_mib"] for name in ("inference", "mindspore"))


def last_epochs() -> Iterator[int]:
    """Yield the least and the most flowers that the last seven epochs have right."""
    run = "flowers/second"
    shares = [float(row["top1"]) for row in log_of(run)[-7:]]
    yield from (round(RUNS[run].held_out * share) for share in (min(shares), max(shares)))


def measured_callers() -> Iterator[Any]:
    """Yield the number and the name of the processors that callers were measured on."""
    machine = results("concurrency.json")["machine"]
    yield from (machine["processors"], machine["processor"])


def training_setting() -> Iterator[Any]:
    """Yield the setting of the training benchmark."""
    setting = results("cpu_training.json")
    yield from (setting[key] for key in ("classes", "batch", "size", "size", "threads"))
    yield from (setting[key] for key in ("instruction_set", "rounds"))


MODELS = {
    "ghostnet_1x": "| `ghostnet_1x` | `GhostNet` | {:.2f} M | {:.1f} M",
    "ghostnet_nose_1x": "| `ghostnet_nose_1x` | `GhostNet_nose` | {:.2f} M | {:.1f} M",
    "ghostnet_600m": "| `ghostnet_600m` | `GhostNet-600` | {:.2f} M | {:.1f} M",
    "mobilenet_v2_1x": "| `mobilenet_v2_1x` | `MobileNetV2-1x` | {:.2f} M | {:.1f} M",
}

SENTENCES = (
    Sentence(
        "docs/kernels.md",
        "With several callers, one session labels so many images per second on {} processors of "
        "an {} (measured by",
        measured_callers,
    ),
    Sentence(
        "README.md",
        "On two cores of an {}, this package classifies one image in {:.1f} ms and {:.0f} images "
        "per second in batches of 32. OpenVINO takes {:.1f} ms and reaches {:.0f} images per "
        "second; MindSpore's own operators take {:.0f} ms",
        one_image,
    ),
    Sentence(
        "README_CN.md",
        "在 {} 的两个核上，本包处理一张图像需 {:.1f} 毫秒，批量为 32 时每秒处理 {:.0f} 张；"
        "OpenVINO 需 {:.1f} 毫秒，每秒 {:.0f} 张；MindSpore 自带的算子需 {:.0f} 毫秒",
        one_image,
    ),
    Sentence(
        "README.md",
        "From the shell to the first label, `ghostnet predict` takes {} s and {} MiB of memory; "
        "with MindSpore's own operators, it takes {} s and {} MiB (",
        startup,
    ),
    Sentence(
        "README_CN.md",
        "从命令行启动到给出第一个标签，`ghostnet predict` 需 {} 秒、{} MiB 内存；"
        "使用 MindSpore 自带的算子时需 {} 秒、{} MiB（",
        startup,
    ),
    Sentence(
        "README.md",
        "The environment takes {:.0f} MiB of disk; one with MindSpore takes {:.0f} MiB",
        footprint,
    ),
    Sentence(
        "README_CN.md",
        "该环境占用 {:.0f} MiB 磁盘；带 MindSpore 的环境占用 {:.0f} MiB",
        footprint,
    ),
    *(
        Sentence(document, row, partial(counted, model))
        for document in ("README.md", "README_CN.md")
        for model, row in MODELS.items()
    ),
    Sentence(
        "docs/kernels.md",
        "Inside a MindSpore graph, the operator takes {:.1f} ms for",
        lambda: [inference()[ONE_IMAGE]["mindspore-fused-graph"]],
    ),
    Sentence(
        "docs/training.md",
        "The last seven epochs of the flowers' second run have between {} and {} images right.",
        last_epochs,
    ),
    Sentence(
        "docs/cpu_training.md",
        "training steps of `ghostnet_1x` with {} classes: forward, loss, backward and momentum. A "
        "batch has {} images of {} × {} pixels. Each engine runs in a process of its own on {} "
        "threads of an x86-64 processor ({}); the engines take {} turns,",
        training_setting,
    ),
)


# Tables ---------------------------------------------------------------------------------------


def table(header: str, rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    names = header.split(" | ")
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def processors() -> dict[str, str]:
    """Return the files of results of inference on a CPU, by the name of the processor."""
    files = sorted(file.name for file in RESULTS.glob("cpu_inference_*.json"))
    return {results(file)["machine"]["processor"]: file for file in files}


def inference_table() -> str:
    """Return times per image beside those of the fastest peer, with a column a processor."""

    def cell(case: Case, file: str) -> str:
        times = inference(file)[case]
        ours = times["ghostnet"]
        engine = min(times.keys() & PEERS.keys(), key=times.__getitem__)
        peak = results(file)["fma_peak_g_per_second_and_core"] * 1e6 * case.threads
        multiply_adds = count(case.network, PETS_CLASSES).multiply_adds * case.batch
        faster = f"{times[engine] / ours:.2f} × {PEERS[engine]}"
        return f"**{ours / case.batch:.2f}**, {faster}, {multiply_adds / (ours * peak):.0%}"

    header = " | ".join(("network", "batch", "threads", *processors()))
    rows = (
        (f"`{case.network}`", str(case.batch), str(case.threads))
        + tuple(cell(case, file) for file in processors().values())
        for case in inference()
    )
    return table(header, rows)


def engine_table() -> str:
    """Return the times per image of every engine, with a column a processor."""

    def cell(case: Case, engine: str, file: str) -> str:
        time = inference(file)[case].get(engine)
        return f"{time / case.batch:.2f}" if time else "–"

    files = processors().values()
    header = " | ".join(("network", "batch", "threads", "engine", *processors()))
    rows = (
        (f"`{case.network}`", str(case.batch), str(case.threads), engine)
        + tuple(cell(case, engine, file) for file in files)
        for case in inference()
        for engine in dict.fromkeys(chain(*(inference(file)[case] for file in files)))
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
    return table(header, (row(*entry) for entry in processors().items()))


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
    """Return speed and memory of training steps."""
    engines = results("cpu_training.json")["engines"]
    names = {"fused": "this package", "torch": "PyTorch", "mindspore": "MindSpore"}
    speeds = {engine: one["images_per_second"] for engine, one in engines.items()}
    header = (
        "engine | images per second | over PyTorch's | memory of training, MiB | of which "
        "compilation, MiB | peak of the process, MiB"
    )
    rows = (
        (
            names[engine],
            f"{speeds[engine]:.1f}",
            f"{speeds[engine] / speeds['torch']:.2f} ×",
            *(f"{one[key]:.0f}" for key in ("training_mib", "compiling_mib", "peak_mib")),
        )
        for engine, one in engines.items()
    )
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


def card_table() -> ClaimTable:
    """Return the table of the Pets card that compares networks."""
    return next(table for table in find_card(PETS).claims if "Comparison" in table.title)


TABLES = {
    "inference": ("docs/kernels.md", inference_table),
    "processors": ("docs/cpu_inference.md", processor_table),
    "engines": ("docs/cpu_inference.md", engine_table),
    "concurrency": ("docs/kernels.md", concurrency_table),
    "training": ("docs/cpu_training.md", training_table),
    "comparison": ("docs/comparison.md", comparison_table),
    "runs": ("docs/training.md", run_table),
    "backbones": ("docs/training.md", backbone_table),
}
"""Document and content of each table, by name."""


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


# The drawing ----------------------------------------------------------------------------------

BAR, ROW, LEFT, WIDTH = 20, 30, 130, 760

STYLE = """text { font: 14px sans-serif; fill: #808893 }
    .own { font-weight: bold }
    .own, rect.own { fill: #5c6bc0 }
    rect { fill: #9aa1ab }"""


def latency_svg() -> str:
    """Return bars for the time of one image in each engine."""
    measured = inference()[ONE_IMAGE]
    times = {name: measured[engine] for engine, name in ENGINES.items() if engine in measured}
    scale = (WIDTH - LEFT - 70) / max(times.values())
    height = ROW * len(times) + 30
    title = "Milliseconds for one image, ghostnet_1x on two CPU cores; less is better"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"  <title>{title}</title>",
        f"  <style>\n    {STYLE}\n  </style>",
        f'  <text x="{LEFT}" y="18">{title}</text>',
    ]
    for index, (name, time) in enumerate(times.items()):
        y, length = 30 + ROW * index, time * scale
        own = ' class="own"' if index == 0 else ""
        lines += [
            f'  <text x="{LEFT - 10}" y="{y + 15}" text-anchor="end"{own}>{name}</text>',
            f'  <rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}"{own}/>',
            f'  <text x="{LEFT + length + 8:.1f}" y="{y + 15}"{own}>{time:.1f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


# Documents ------------------------------------------------------------------------------------


def documents() -> dict[str, str]:
    """Return every document with its figures, by path."""
    texts = {DRAWING: latency_svg()}
    for sentence in SENTENCES:
        path = sentence.document
        texts[path] = sentence.write(texts.get(path) or (ROOT / path).read_text())
    for name, (path, content) in TABLES.items():
        texts[path] = write_table(texts.get(path) or (ROOT / path).read_text(), name, content())
    return texts


if __name__ == "__main__":
    for path, text in documents().items():
        file = ROOT / path
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
            print(f"updated {path}")
