"""The verbs that label images: `predict` and `eval`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ghostnet.cli.models import configure, open_model
from ghostnet.cli.options import (
    DEFAULT_MODEL,
    BatchOption,
    CacheOption,
    DeviceOption,
    ExecutionOption,
    FuseOption,
    JsonOption,
    LabelsOption,
    ModelOption,
    ShortHashOption,
    VerboseOption,
)
from ghostnet.cli.output import count_left_out, counting, print_json, print_table
from ghostnet.export.formats import Backend
from ghostnet.runtime import Device, Execution

if TYPE_CHECKING:
    from ghostnet.errors import ImageError
    from ghostnet.inference.classifier import Classifier, ImageSource, Logits
    from ghostnet.inference.evaluation import Evaluation


def predict(
    paths: Annotated[list[str], typer.Argument(help="Images, folders, or - for stdin.")],
    model: ModelOption = DEFAULT_MODEL,
    labels: LabelsOption = None,
    top_k: Annotated[int, typer.Option(min=1, help="Labels to show for an image.")] = 3,
    batch_size: BatchOption = 1,
    fuse: FuseOption = True,
    backend: Annotated[Backend, typer.Option(help="What runs the network.")] = Backend.GHOSTNET,
    device: DeviceOption = Device.AUTO,
    execution: ExecutionOption = Execution.GRAPH,
    cache_dir: CacheOption = None,
    short_hash: ShortHashOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Label images: the likeliest classes of each, and the time of the network."""
    configure(device, execution, verbose=verbose)
    opened = open_model(model, cache_dir, labels, allow_short_hash=short_hash)
    from ghostnet.export.runtimes import deploy
    from ghostnet.inference.classifier import Classifier

    images, left_out = _sources(paths)
    forward = None if backend is Backend.GHOSTNET else deploy(opened, backend)
    classifier = Classifier(opened, fused=fuse, batch_size=batch_size, forward=forward)
    classifier.warm_up()
    with counting("predict", len(images)) as advance:
        answers = []
        for image, result in classifier.logits(images):
            advance(1)
            answers.append(_answer(classifier, image, result, top_k))
    if as_json:
        counts = [{"left_out": left_out}] if left_out else []
        print_json([{k: v for k, v in answer.items() if k != "ms"} for answer in answers] + counts)
    else:
        rows = [(answer["file"], *_cells(answer)) for answer in answers]
        print_table(opened.name, ("file", "labels", "ms"), rows)
    if any("error" in answer for answer in answers):
        raise typer.Exit(1)


def _sources(paths: list[str]) -> "tuple[list[ImageSource], dict[str, int]]":
    """List the images that paths name, and count what is left out; ``-`` is an image on stdin."""
    from ghostnet.data.image_folder import find_images
    from ghostnet.errors import ImageError
    from ghostnet.inference.classifier import ImageSource

    images = []
    left_out: dict[Path, str] = {}
    for path in paths:
        if path == "-":
            images.append(ImageSource("-", sys.stdin.buffer.read()))
        else:
            images += [ImageSource(str(file), file) for file in find_images([Path(path)], left_out)]
    counts = count_left_out(left_out)
    if not images:
        raise ImageError(f"{', '.join(paths)}: expected images, found none")
    return images, counts


def _answer(
    classifier: "Classifier", image: "ImageSource", result: "Logits | ImageError", top_k: int
) -> dict[str, Any]:
    """Describe the result for one image."""
    answer = classifier.describe(image.name, result, top_k)
    return answer if isinstance(result, Exception) else {**answer, "ms": result.milliseconds}


def _cells(answer: dict[str, Any]) -> tuple[str, str]:
    """Return the cells of one image: its labels or its error, and the time of the network."""
    if "error" in answer:
        return answer["error"], ""
    labels = (f"{p['probability']:6.1%}  {p['label']}" for p in answer["predictions"])
    return "\n".join(labels), f"{answer['ms']:.1f}"


def eval(
    folder: Annotated[Path, typer.Argument(help="Folder with a sub-folder of images a class.")],
    model: ModelOption = DEFAULT_MODEL,
    labels: LabelsOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for confusion.json and confusion.png.")
    ] = None,
    batch_size: BatchOption = 1,
    fuse: FuseOption = True,
    device: DeviceOption = Device.AUTO,
    execution: ExecutionOption = Execution.GRAPH,
    cache_dir: CacheOption = None,
    short_hash: ShortHashOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Measure the accuracy of a model on labeled images: top-1, top-5, each class."""
    configure(device, execution, verbose=verbose)
    opened = open_model(model, cache_dir, labels, allow_short_hash=short_hash)
    from ghostnet.data.image_folder import read_folder
    from ghostnet.inference.classifier import Classifier
    from ghostnet.inference.evaluation import MAX_LABELED, evaluate

    images = read_folder(folder)
    left_out = count_left_out(images.left_out)
    classifier = Classifier(opened, fused=fuse, batch_size=batch_size)
    with counting("eval", len(images.files)) as advance:
        result = evaluate(classifier, images, advance)
    document = result.as_dict() | {"left_out": left_out}
    if out:
        _write_confusion(result, document, out)
    if as_json:
        print_json(document)
        return
    rows = [(label, f"{share:.1%}") for label, share in result.per_class.items()]
    if len(result.labels) > MAX_LABELED:
        rows += [(f"{true} taken for {taken}", str(n)) for true, taken, n in result.most_confused()]
    summary = [
        ("top-1", f"{result.top1:.2%}"),
        ("top-5", f"{result.top5:.2%}"),
        ("images", f"{result.images:,}"),
        *(("skipped", f"{file}: {reason}") for file, reason in result.skipped),
    ]
    print_table(opened.name, ("class", "correct"), [*rows, *summary])


def _write_confusion(result: "Evaluation", document: dict[str, Any], out: Path) -> None:
    """Write an evaluation as JSON and, where matplotlib is installed, its plot."""
    import io

    from ghostnet.errors import DatasetError, PackageError
    from ghostnet.files import raising, write_whole
    from ghostnet.inference.evaluation import plot_confusion

    content = json.dumps(document, indent=1, allow_nan=False).encode()
    with raising(DatasetError, f"{out}: cannot be written", "name another folder with --out"):
        write_whole(out / "confusion.json", content)
        plot = io.BytesIO()
        try:
            plot_confusion(result, plot)
        except PackageError as error:
            print(f"ghostnet: no confusion.png: {error}", file=sys.stderr)
        else:
            write_whole(out / "confusion.png", plot.getvalue())
