"""Results to look at: one page of HTML that holds its images and needs nothing else."""

import base64
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ghostnet.data.image_folder import ImageFolder
from ghostnet.errors import ResultsError
from ghostnet.files import raising, write_whole
from ghostnet.inference.confusion_matrix import confusion_svg
from ghostnet.model import Evaluation, LabelEvaluation, Model, Result
from ghostnet.model.evaluation import class_indices
from ghostnet.model.result import NO_LABEL, printable

Draw: TypeAlias = Callable[[Result], bytes | None]
"""Draws the image of a result as a small JPEG; None where there is none."""

MAX_SHOWN = 500
"""Images on a page, which bounds its size to a few megabytes."""

MAX_MISTAKES = 100
MAX_PAIRS = 20

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load for a page: nothing but its own images and style."""


def write_report(path: Path, page: str) -> None:
    """Write a page to a file.

    Raises:
        ResultsError: It cannot be written.
    """
    with raising(ResultsError, f"{path}: cannot be written", "name another file with --report"):
        write_whole(path, page.encode())


def thumbnail(result: Result) -> bytes | None:
    """Return the image of a result as a small JPEG; None where there is none."""
    return result.image.thumbnail()


def explained_by(model: Model) -> Draw:
    """Return what draws the image of a result lit by the evidence for its first label."""

    def lit(result: Result) -> bytes | None:
        if result.error:
            return None
        content = io.BytesIO()
        model.explain(result.image, count=1).lit(0).save(content, "JPEG", quality=80)
        return content.getvalue()

    return lit


def prediction_page(
    model: str, results: Sequence[Result], top_k: int, draw: Draw = thumbnail
) -> str:
    """Return a page of images with their labels.

    Args:
        model: Name of the model.
        results: The first `MAX_SHOWN` are on the page.
        top_k: Labels of an image.
        draw: Draws the image of a result.
    """
    shown = results[:MAX_SHOWN]
    texts = [_answer(result, top_k) for result in shown]
    failed = sum(result.error is not None for result in results)
    numbers = {"images": f"{len(results):,}"} | ({"not readable": f"{failed:,}"} if failed else {})
    return _page(
        model, numbers, _cards(shown, texts, draw) + _rest(len(results) - len(shown), "images")
    )


@dataclass(frozen=True)
class Mistake:
    """An image whose likeliest label is wrong.

    Attributes:
        result: What the model says.
        true: Index of its class.
    """

    result: Result
    true: int

    @property
    def probability(self) -> float:
        """Probability that the model gives to the true class."""
        return float(self.result.probabilities[self.true])


def evaluation_page(
    model: str,
    evaluation: Evaluation | LabelEvaluation,
    folder: ImageFolder,
    results: Iterable[Result],
    draw: Draw = thumbnail,
    curve: str = "",
) -> str:
    """Return a page about the accuracy of a model, with its worst mistakes first.

    Args:
        model: Name of the model.
        evaluation: The accuracy.
        folder: The images that were classified.
        results: The results for its files, in their order.
        draw: Draws the image of a result.
        curve: The curve of its training, as HTML.
    """
    if isinstance(evaluation, LabelEvaluation):
        return _label_page(model, evaluation, results, draw, curve)
    mistakes = _mistakes(evaluation, folder, results)
    numbers = {
        "top-1": f"{evaluation.top1:.1%}",
        "top-5": f"{evaluation.top5:.1%}",
        "balanced": f"{evaluation.balanced:.1%}",
        "images": f"{evaluation.images:,}",
        "mistakes": f"{len(mistakes):,}",
    }
    shown = mistakes[:MAX_MISTAKES]
    cards = _cards(
        [mistake.result for mistake in shown],
        [_correction(mistake, evaluation.labels) for mistake in shown],
        draw,
    )
    parts = {
        "Training": curve,
        "Worst mistakes": cards + _rest(len(mistakes) - len(shown), "mistakes"),
        "Accuracy by class": _bars(evaluation.per_class, "classes"),
        "Confusion": _confusion(evaluation),
        "Not readable": _skipped(evaluation.skipped),
    }
    return _page(model, numbers, _sections(parts))


def _label_page(
    model: str,
    evaluation: LabelEvaluation,
    results: Iterable[Result],
    draw: Draw,
    curve: str,
) -> str:
    """Return the page of a model whose images may have several labels."""
    wrong = evaluation.given != evaluation.truths
    read = [result for result in results if not result.error]
    worst = [int(row) for row in np.argsort(-evaluation.losses, kind="stable") if wrong[row].any()]
    numbers = {
        "mean average precision": f"{evaluation.mean_average_precision:.1%}",
        "mean F1": f"{evaluation.measures['f1']:.1%}",
        "images": f"{evaluation.images:,}",
        "with a mistake": f"{len(worst):,}",
    }
    shown = worst[:MAX_MISTAKES]
    texts = [_label_corrections(evaluation, row) for row in shown]
    cards = _cards([read[row] for row in shown], texts, draw)
    parts = {
        "Training": curve,
        "Worst mistakes": cards + _rest(len(worst) - len(shown), "mistakes"),
        "Average precision by label": _bars(evaluation.average_precision, "labels"),
        "F1 by label": _bars(evaluation.f1, "labels"),
        "Not readable": _skipped(evaluation.skipped),
    }
    return _page(model, numbers, _sections(parts))


def _label_corrections(evaluation: LabelEvaluation, row: int) -> str:
    """Return the labels that an image has or is given: right, missed, or given wrongly."""
    has, given = evaluation.truths[row], evaluation.given[row]
    kinds = {(True, True): "", (True, False): "true", (False, True): "said"}
    return "".join(
        _bar(
            evaluation.labels[label],
            float(evaluation.probabilities[row, label]),
            kinds[bool(has[label]), bool(given[label])],
        )
        for label in np.flatnonzero(has | given)
    )


def _mistakes(
    evaluation: Evaluation, folder: ImageFolder, results: Iterable[Result]
) -> list[Mistake]:
    """List the mistakes; the one that gives the true class the least comes first."""
    truths = class_indices(folder, evaluation.labels)
    mistakes = [
        Mistake(result, truths[index])
        for (_, index), result in zip(folder.files, results, strict=True)
        if not result.error and int(np.argmax(result.logits)) != truths[index]
    ]
    return sorted(mistakes, key=lambda mistake: mistake.probability)


# Parts of a page ------------------------------------------------------------------------------


def _page(title: str, numbers: dict[str, str], body: str) -> str:
    style = files(__package__).joinpath("report.css").read_text("utf-8")
    shown = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in numbers.items()
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{_text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<h1>{_text(title)}</h1>\n<dl class="numbers">{shown}</dl>\n{body}</body>\n</html>\n'
    )


def _sections(parts: Mapping[str, str]) -> str:
    """Return the parts of a page that there are, each under its title."""
    return "".join(f"<h2>{title}</h2>\n{part}" for title, part in parts.items() if part)


def _cards(results: Sequence[Result], texts: Sequence[str], draw: Draw) -> str:
    """Return a grid of images, each with a text that is HTML."""
    with ThreadPoolExecutor() as executor:
        images = map(_image, executor.map(draw, results))
        cards = [
            f'<li>{image}<div class="text"><p class="name">{_breakable(result.name)}</p>'
            f"{text}</div></li>\n"
            for result, image, text in zip(results, images, texts, strict=True)
        ]
    return f'<ul class="cards">\n{"".join(cards)}</ul>\n' if cards else ""


def _image(content: bytes | None) -> str:
    """Return a JPEG image as HTML."""
    if content is None:
        return '<div class="none">no image</div>'
    data = base64.b64encode(content).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="" loading="lazy">'


def _answer(result: Result, top_k: int) -> str:
    if result.error:
        return f'<p class="error">{_text(str(result.error))}</p>'
    bars = "".join(_bar(best.label, best.probability) for best in result.given(top_k))
    return bars or f'<p class="muted">{NO_LABEL}</p>'


def _correction(mistake: Mistake, labels: tuple[str, ...]) -> str:
    said = mistake.result.top(1)[0]
    return _bar(labels[said.index], said.probability, "said") + _bar(
        labels[mistake.true], mistake.probability, "true"
    )


def _bar(label: str, share: float, kind: str = "") -> str:
    return (
        f'<div class="bar {kind}" style="--share: {share:.4f}"><span>{_breakable(label)}</span>'
        f"<span>{share:.1%}</span></div>"
    )


def _bars(figures: Mapping[str, float], what: str) -> str:
    """Return a bar for each figure between 0 and 1, the lowest first."""
    shares = sorted(figures.items(), key=lambda pair: pair[1])
    bars = "".join(_bar(label, share) for label, share in shares[:MAX_SHOWN])
    return f'<div class="classes">{bars}</div>\n{_rest(len(shares) - MAX_SHOWN, what)}'


def _confusion(evaluation: Evaluation) -> str:
    pairs = "".join(
        f"<li>{_text(true)} taken for {_text(taken)}: {count:,}</li>"
        for true, taken, count in evaluation.most_confused(MAX_PAIRS)
    )
    return confusion_svg(evaluation) + (f"<ol>{pairs}</ol>\n" if pairs else "")


def _skipped(skipped: Sequence[tuple[str, str]]) -> str:
    shown = skipped[:MAX_SHOWN]
    items = "".join(f"<li>{_text(f'{file}: {reason}')}</li>" for file, reason in shown)
    rest = _rest(len(skipped) - len(shown), "images")
    return f"<ul>{items}</ul>\n{rest}" if items else ""


def _rest(count: int, what: str) -> str:
    return f'<p class="muted">and {count:,} more {what}</p>\n' if count > 0 else ""


def _breakable(name: str) -> str:
    """Return a name whose lines may break between its parts."""
    return re.sub("([/_])", r"\1<wbr>", _text(name))


def _text(text: str) -> str:
    return escape(printable(text))
