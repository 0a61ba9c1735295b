"""The sentences with figures in the documents."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from measured import (
    BATCH,
    MAIN,
    ONE_IMAGE,
    PEERS,
    RUNS,
    by_processor,
    counted,
    fastest_peer,
    inference,
    log_of,
    results,
)


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
    yield from times("ghostnet")
    fastest = fastest_peer(ONE_IMAGE)
    yield PEERS[fastest]
    yield from times(fastest)


def times(engine: str) -> Iterator[float]:
    """Yield the milliseconds of one image, and the images per second of a batch."""
    yield inference()[ONE_IMAGE][engine]
    yield BATCH.batch / inference()[BATCH][engine] * 1000


def graph_call() -> Iterator[Any]:
    """Yield the processor, and the milliseconds of one image inside a MindSpore graph."""
    yield results(MAIN)["machine"]["processor"]
    yield inference()[ONE_IMAGE]["mindspore-fused-graph"]


def plain_graph() -> Iterator[float]:
    """Yield the figures of MindSpore's own operators, with oneDNN kept to AVX2 and as it starts."""
    onednn = results("plain_graph.json")["onednn"]
    for figure in ("milliseconds_an_image", "trained_images_per_second"):
        yield from (onednn[key][figure] for key in ("AVX2", "as MindSpore starts it"))


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


def processors(file: str) -> Iterator[Any]:
    """Yield the number and the name of the processors that a file of results is from."""
    machine = results(file)["machine"]
    yield from (machine["processors"], machine["processor"])


def barriers() -> Iterator[Any]:
    """Yield the processor, the time of a barrier in ns, and how many an image has."""
    found = results("more_cores.json")
    yield from (found["machine"]["processor"], found["barrier_nanoseconds"], found["barriers"])


def soak() -> Iterator[Any]:
    """Yield the connections and minutes of the long run of a server, and its memory in MiB."""
    run = results("serving.json")["soak"]
    yield from (run["connections"], len(run["peak_mib"]), run["peak_mib"][0], run["peak_mib"][-1])


def reduced_decoding() -> Iterator[Any]:
    """Yield how far reduced decoding moves answers."""
    found = results("folder.json")["reduced_decoding"]
    yield from (found["same_top_1"], found["photographs"])
    yield from (100 * found[key] for key in ("mean_difference", "largest_difference"))


def training_setting() -> Iterator[Any]:
    """Yield the setting of the training benchmark."""
    keys = ("classes", "batch", "size", "size", "threads", "rounds")
    files = by_processor("cpu_training").values()
    (setting,) = {tuple(results(file)[key] for key in keys) for file in files}
    yield from setting


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
        partial(processors, "concurrency.json"),
    ),
    Sentence(
        "docs/kernels.md",
        "Images per second on {} processors of an {}, quiet, beside a busy process for each "
        "processor but one, and",
        partial(processors, "busy_machine.json"),
    ),
    Sentence(
        "docs/kernels.md",
        "Two threads of an {} meet at a barrier in {:.0f} ns, and one image of GhostNet-1x has {} "
        "barriers.",
        barriers,
    ),
    Sentence(
        "docs/kernels.md",
        "Milliseconds of a call of GhostNet-1x on an {}, and the flowers named right",
        lambda: [results("int8.json")["machine"]["processor"]],
    ),
    Sentence(
        "docs/serving.md",
        "the same network, on {} processors of an {}:",
        partial(processors, "serving.json"),
    ),
    Sentence(
        "docs/serving.md",
        "With {} connections for {} minutes, the server's memory peaks at {:.0f} MiB in the first "
        "minute and at {:.0f} MiB in the last.",
        soak,
    ),
    Sentence(
        "docs/scaling.md",
        "From files to labels, in images per second on {} processors of an {}: this package",
        partial(processors, "folder.json"),
    ),
    Sentence(
        "docs/scaling.md",
        "It leaves the first label of {} of {} photographs as it is and moves a probability by "
        "{:.1f} percentage points on average, {:.0f} at most.",
        reduced_decoding,
    ),
    Sentence(
        "docs/scaling.md",
        "Measured on {} processors of an {}, the start",
        partial(processors, "cluster.json"),
    ),
    Sentence(
        "README.md",
        "On two cores of an {}, this package classifies one image in {:.1f} ms and {:.0f} images "
        "per second in batches of 32. The fastest other engine for one image, {}, takes {:.1f} ms "
        "and reaches {:.0f} images per second",
        one_image,
    ),
    Sentence(
        "README_CN.md",
        "在 {} 的两个核上，本包处理一张图像需 {:.1f} 毫秒，批量为 32 时每秒处理 {:.0f} 张；"
        "其他引擎中处理一张图像最快的 {} 需 {:.1f} 毫秒，每秒 {:.0f} 张",
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
        "Inside a MindSpore graph, on an {}, the operator takes {:.1f} ms for",
        graph_call,
    ),
    Sentence(
        "docs/cpu_inference.md",
        "one image then takes {:.0f} ms instead of {:.0f}, and training without this package's "
        "kernels reaches {:.1f} images per second instead of {:.1f} (`python "
        "benchmarks/plain_graph.py`)",
        plain_graph,
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
        "threads; the engines take {} turns,",
        training_setting,
    ),
)
