"""The commands that turn models into other files: `export` and `convert`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ghostnet.cli.models import configure, open_model
from ghostnet.cli.options import (
    CacheOption,
    ForceOption,
    JsonOption,
    LabelsOption,
    ModelOption,
    ShortHashOption,
    VerboseOption,
)
from ghostnet.cli.output import command_line, count_left_out, counting, print_json, print_table
from ghostnet.errors import ExportError, listed
from ghostnet.export.formats import Format, WeightBits, format_of
from ghostnet.models.architectures import Upsampling
from ghostnet.models.libraries import Library
from ghostnet.models.registry import DEFAULT_MODEL
from ghostnet.models.weights import Use

if TYPE_CHECKING:
    from ghostnet.checkpoints import Conversion
    from ghostnet.model import Model

DYNAMIC = "dynamic"


def export(
    out: Annotated[Path, typer.Argument(help="File to write, which ends in .onnx or .mindir.")],
    model: ModelOption = DEFAULT_MODEL,
    labels: LabelsOption = None,
    format: Annotated[Format | None, typer.Option(help="Default: by the suffix of OUT.")] = None,
    batch_size: Annotated[
        str, typer.Option("--batch-size", "--batch", help="Images per batch, or dynamic.")
    ] = DYNAMIC,
    image_size: Annotated[
        int | None,
        typer.Option(min=32, help="Width and height in pixels. Default: the model's own."),
    ] = None,
    with_preprocessing: Annotated[
        bool,
        typer.Option(help="Normalize in the graph, which takes (batch, height, width, 3) uint8."),
    ] = False,
    any_size: Annotated[
        bool,
        typer.Option("--any-size", help="Take images of any width and height; ONNX only."),
    ] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Quantize to 8 bits; ONNX only.")] = False,
    weight_bits: Annotated[
        WeightBits,
        typer.Option(help="For --int8: bits in each weight; 8 is for processors with VNNI."),
    ] = WeightBits.SEVEN,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="For --int8: folder with a sub-folder for each class; the ranges of the "
            "activations are measured on 64 of its images."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="For --int8: folder to measure the accuracy on. Default: that of --calibrate."
        ),
    ] = None,
    force: ForceOption = False,
    cache_dir: CacheOption = None,
    short_hash: ShortHashOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Export a model as ONNX or MindIR for other runtimes."""
    length = _batch(batch_size)
    format = _format(out, format)
    if int8 != (calibrate is not None):
        raise typer.BadParameter("--int8 and --calibrate DIR go together")
    if data and not int8:
        raise typer.BadParameter("--data DIR is only for --int8")
    if any_size and int8:
        raise typer.BadParameter("--int8 writes a network for one size; leave out --any-size")
    if int8 and format is not Format.ONNX:
        raise typer.BadParameter("--int8 writes only ONNX; name a file that ends in .onnx")
    configure(verbose=verbose)
    from ghostnet import export as exporting
    from ghostnet.data.transforms import Preprocess

    exporting.check_target(out, force)
    opened = open_model(model, cache_dir, labels, allow_short_hash=short_hash)
    if image_size:
        opened = replace(opened, preprocess=Preprocess(image_size))
    choices: dict[str, Any] = {
        "format": format,
        "batch": length,
        "with_preprocessing": with_preprocessing,
        "force": force,
    }
    answer: dict[str, Any] = {}
    if calibrate:
        choices["weight_bits"] = weight_bits
        answer = _export_int8(opened, out, calibrate, data or calibrate, **choices)
    else:
        exporting.export(opened, out, any_size=any_size, **choices)
    answer = {"file": str(out), "bytes": out.stat().st_size, **answer}
    if as_json:
        print_json(answer)
    else:
        skipped = [("skipped", entry["error"]) for entry in answer.pop("skipped", ())]
        shown = {k: f"{v:.2%}" if isinstance(v, float) else v for k, v in answer.items()}
        rows = [(k.replace("_", " "), v) for k, v in shown.items()]
        print_table("exported", None, [*rows, *skipped])


def _format(out: Path, requested: Format | None) -> Format:
    """Return the format to write, by the option or the suffix."""
    try:
        return format_of(out, requested)
    except ExportError as error:
        raise typer.BadParameter(str(error), param_hint="OUT") from error


def _batch(text: str) -> int | None:
    """Parse a number of images, or None for ``dynamic``."""
    if text == DYNAMIC:
        return None
    if not text.isdecimal() or int(text) == 0:
        raise typer.BadParameter(
            f"{text!r} is not a number of images; give one above 0, or {DYNAMIC}"
        )
    return int(text)


def _export_int8(
    model: "Model", out: Path, calibrate: Path, data: Path, **choices: Any
) -> dict[str, Any]:
    """Write the int8 model, and return what to print about it."""
    from ghostnet.data.image_folder import read_folder
    from ghostnet.data.left_out import LeftOut
    from ghostnet.data.parts import find_parts
    from ghostnet.data.split import read_measured
    from ghostnet.export.int8 import export_int8

    images = read_measured(data, multi_label=model.thresholds is not None)
    ranges = read_folder(find_parts(calibrate).train)
    count_left_out(LeftOut.joined(ranges.left_out, images.left_out))
    with counting("float32 and int8", 2 * len(images.files)) as advance:
        result = export_int8(model, out, ranges, images, progress=advance, **choices)
    skipped = {**result.unreadable, **dict(result.before.skipped)}
    (measure, before), *_ = result.before.measures.items()
    return {
        "calibration_images": result.calibrated_on,
        "float32_bytes": result.float_bytes,
        "images": result.before.images,
        f"float32_{measure}": before,
        f"int8_{measure}": result.after.measures[measure],
        "weight_bits": choices["weight_bits"].value,
        "measured_on": result.measured_on,
        "skipped": [{"file": file, "error": error} for file, error in skipped.items()],
    }


def convert(
    source: Annotated[Path, typer.Argument(help="MindSpore, PyTorch or safetensors checkpoint.")],
    target: Annotated[
        Path, typer.Argument(help="Checkpoint to write: .ckpt; with --to, the library's format.")
    ],
    to: Annotated[
        Library | None,
        typer.Option(
            help="Write the names of this library: timm and huawei as .safetensors or .pth, mindcv "
            "as .ckpt. Default: the names of the MindSpore model zoo."
        ),
    ] = None,
    use: Annotated[
        Use | None,
        typer.Option(
            help="Use the average of the weights or the weights themselves. Default: the average "
            "if a PyTorch file has one."
        ),
    ] = None,
    upsampling: Annotated[
        Upsampling | None,
        typer.Option(
            help="How the gates of GhostNetV2's attention grow to the size of the map. Default: "
            "nearest, but bilinear if tensors have the names of the MindSpore model zoo."
        ),
    ] = None,
    keep_branches: Annotated[
        bool,
        typer.Option(
            "--keep-branches",
            help="Keep the branches of a GhostNetV3 or RepGhost in training, to train it on. "
            "Default: merge them.",
        ),
    ] = False,
    force: ForceOption = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="File of class names, one per line or JSON. Writes a card beside TARGET."
        ),
    ] = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Convert a network of timm, its authors, MindCV, the zoo or a training run; `--to` goes back.

    Anything else in the file, such as optimizer state, is left out and listed.
    """
    _check_suffix(target, to)
    if labels and to:
        raise typer.BadParameter("a card describes files of this package; leave out --to or it")
    configure(verbose=verbose)
    from ghostnet import checkpoints
    from ghostnet.checkpoints.foreign_names import foreign_parameters
    from ghostnet.checkpoints.formats import WRITERS
    from ghostnet.export import check_target
    from ghostnet.files import sha256_of
    from ghostnet.hub.card_writer import write_converted_card
    from ghostnet.models.registry import network_name

    check_target(target, force)
    conversion = checkpoints.convert(
        checkpoints.read_foreign(source),
        str(source),
        use,
        upsampling=upsampling,
        keep_branches=keep_branches,
    )
    named = _named(source, conversion, labels) if labels else None
    parameters = conversion.parameters
    if to:
        parameters = foreign_parameters(parameters, conversion.architecture, to)
    WRITERS[target.suffix](parameters, target)
    found = conversion.found
    answer: dict[str, Any] = {
        "file": str(target),
        "sha256": sha256_of(target),
        "network": network_name(conversion.architecture),
        "parameters": len(conversion.parameters),
        "num_classes": conversion.num_classes,
        "use": found.use.value,
        "prefix": found.prefix,
        "left_out": list(found.left_out),
    }
    if conversion.architecture.attends:
        answer["upsampling"] = conversion.architecture.upsampling
    if named:
        answer = {"card": str(write_converted_card(named, target, command_line())), **answer}
    if as_json:
        print_json(answer)
    else:
        left_out = f"{len(found.left_out)}: {listed(found.left_out)}"
        print_table("converted", None, [*{**answer, "left_out": left_out}.items()])


def _check_suffix(target: Path, to: Library | None) -> None:
    """Check that a file has the suffix of what is written into it."""
    suffixes = (".safetensors", ".pth") if to in (Library.TIMM, Library.HUAWEI) else (".ckpt",)
    if target.suffix not in suffixes:
        raise typer.BadParameter(
            f"{target} does not end in {' or '.join(suffixes)}", param_hint="TARGET"
        )


def _named(source: Path, conversion: "Conversion", labels: Path) -> "Model":
    """Return the converted model with the class names of a file."""
    from ghostnet.data.labels import read_labels
    from ghostnet.data.transforms import Preprocess
    from ghostnet.model import Model

    names = read_labels(labels, conversion.num_classes)
    preprocess = Preprocess(conversion.architecture.image_size)
    return Model(str(source), conversion.architecture, conversion.parameters, names, preprocess)
