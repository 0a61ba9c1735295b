"""Time the networks of the card's table on this machine, one image on one thread.

``python benchmarks/comparison.py`` writes results/comparison.json and docs/comparison.png; then
`website/figures.py` updates docs/comparison.md. It needs the extra ``bench``. Weights are random:
the speed of a network does not depend on them.
"""

import json
import tempfile
from pathlib import Path

from matplotlib.figure import Figure
from random_parameters import random_parameters

from ghostnet.benchmark import Measurement, race
from ghostnet.benchmark.engines import Job
from ghostnet.benchmark.preparation import prepare
from ghostnet.checkpoints import write_checkpoint
from ghostnet.hub import read_card
from ghostnet.hub.catalog import shipped_card
from ghostnet.hub.claims import ClaimTable
from ghostnet.models import find_model

UID = "noah-cvlab/gpu/1.0/ghostnet_v1.0_oxford_pets"
CLASSES = 37
THREADS = 1
"""As on the card."""

ENGINES = {"onnxruntime": "ONNX Runtime", "ghostnet": "this package"}
FIGURES = ("milliseconds", "low", "high", "calls")
DOCS = Path(__file__).resolve().parents[1] / "docs"
RESULTS = Path(__file__).with_name("results") / "comparison.json"


def card_table() -> ClaimTable:
    """The table of the card that compares networks."""
    return next(
        table for table in read_card(shipped_card(UID)).claims if "Comparison" in table.title
    )


def prepare_network(model: str, folder: Path) -> Job:
    """A job for a network of the card's table."""
    parameters = random_parameters(find_model(model).architecture, CLASSES)
    write_checkpoint(parameters, folder / "model.ckpt")
    job = Job(str(folder / "model.ckpt"), None, folder, batch=1, threads=THREADS)
    prepare(job, tuple(ENGINES))
    return job


def measure(models: list[str]) -> dict[str, dict[str, Measurement]]:
    """Engine to measurement for each network, all in one run."""
    entries: list[tuple[str, Job]] = []
    names = []
    with tempfile.TemporaryDirectory() as root:
        for index, model in enumerate(models):
            folder = Path(root) / str(index)
            folder.mkdir()
            job = prepare_network(model, folder)
            entries += [(engine, job) for engine in ENGINES]
            names += [model] * len(ENGINES)
        results = race(entries)
    found: dict[str, dict[str, Measurement]] = {model: {} for model in models}
    for model, result in zip(names, results, strict=True):
        if result.error:
            raise SystemExit(f"{model} in {result.engine}: {result.error}")
        found[model][result.engine] = result
    return found


def plot(card: ClaimTable, measured: dict[str, dict[str, Measurement]], path: Path) -> None:
    """Bars of latency: each network, on the card and in the engines here."""
    models = list(measured)
    series = {"card: Kirin 990": [card.figure(model, "Latency (ms)") for model in models]}
    for engine, name in ENGINES.items():
        results = [measured[model].get(engine) for model in models]
        series[f"here: {name}"] = [result and result.milliseconds for result in results]
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(series)
    for index, (name, values) in enumerate(series.items()):
        places = [place + (index - 1) * width for place in range(len(models))]
        bars = axes.bar(places, [value or 0 for value in values], width, label=name)
        axes.bar_label(bars, [f"{value:.1f}" if value else "–" for value in values], fontsize=8)
    axes.set_xticks(range(len(models)), models)
    axes.set(ylabel="milliseconds an image, one thread")
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, and write the page, its plot and the figures behind it."""
    card = card_table()
    measured = measure(list(card.by_model()))
    RESULTS.parent.mkdir(exist_ok=True)
    figures = {
        model: {
            engine: {name: getattr(result, name) for name in FIGURES}
            for engine, result in found.items()
        }
        for model, found in measured.items()
    }
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n")
    plot(card, measured, DOCS / "comparison.png")


if __name__ == "__main__":
    main()
