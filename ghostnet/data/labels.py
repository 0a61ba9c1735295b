"""Files that name the classes of a model."""

import json
from pathlib import Path
from typing import Any

from ghostnet.errors import DatasetError, LabelError, listed
from ghostnet.files import raising, read_whole

MAX_BYTES = 16 * 1024**2
MAX_DIGITS = 10
MAX_CHARACTERS = 640 * 1024
"""Length of the labels on a hub card, as JSON: enough for all 21,841 classes of ImageNet."""


def unknown_labels(classes: int) -> tuple[str, ...]:
    """Return placeholders for labels that are not known."""
    return tuple(f"class {index}" for index in range(classes))


def read_labels(path: Path, classes: int) -> tuple[str, ...]:
    """Read the labels of a model.

    Args:
        path: UTF-8 text with a label on each line, or JSON: a list, ``{index: label}`` or
            ``{label: index}``.
        classes: Number of the model's classes.

    Raises:
        LabelError: The file cannot be read, or does not have a label for each class.
    """
    with raising(LabelError, f"{path}: cannot be read"):
        content = read_whole(path, MAX_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelError(f"{path}: not UTF-8 text; convert it") from error
    is_json = path.suffix.lower() == ".json" or text.lstrip()[:1] in ("[", "{")
    labels = _from_json(text, path) if is_json else [line.strip() for line in _lines(text)]
    if len(labels) != classes:
        raise LabelError(
            f"{path}: the number of labels is {len(labels):,}, but the model has {classes:,} "
            "classes"
        )
    bad = [index for index, label in enumerate(labels) if not _is_label(label)]
    if bad:
        found = str(labels[bad[0]])[:80]
        raise LabelError(
            f"{path}: the label of class {bad[0]} is {found!a}; labels are text without control "
            "characters and spaces at the ends"
        )
    return tuple(labels)


def check_labels(labels: tuple[str, ...]) -> None:
    """Check that a hub card can hold the labels, as the hub's own client reads it.

    Raises:
        DatasetError: A label has a ``:``, unprintable characters or spaces at its ends, or there
            are too many labels.
    """
    bad = [x for x in labels if ":" in x or not x.isprintable() or x != x.strip()]
    if bad:
        raise DatasetError(
            f"a hub card cannot hold the class names {listed([*map(ascii, bad)])}, which have ':', "
            "control characters or spaces at the ends; rename the folders"
        )
    if len(json.dumps(labels)) > MAX_CHARACTERS:
        raise DatasetError(
            f"a hub card holds {MAX_CHARACTERS:,} characters of class names, and these "
            f"{len(labels):,} names have more; shorten the names of the folders"
        )


def _is_label(label: object) -> bool:
    return isinstance(label, str) and label == label.strip() != "" and label.isprintable()


def _lines(text: str) -> list[str]:
    """Split a text into lines, without empty ones at its end."""
    return text.rstrip().replace("\r\n", "\n").split("\n") if text.strip() else []


def _from_json(text: str, path: Path) -> list[Any]:
    """Return the labels of a JSON document in the order of their indices."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LabelError(f"{path}: not JSON ({error})") from error
    if isinstance(document, list):
        return document
    by_index = _by_index(document) if isinstance(document, dict) else None
    if by_index is None or sorted(by_index) != [*range(len(by_index))]:
        raise LabelError(
            f"{path}: the JSON must be a list of labels, or number them from 0 on, as {{index: "
            "label} or {label: index}"
        )
    return [by_index[index] for index in range(len(by_index))]


def _by_index(document: dict[str, Any]) -> dict[int, Any] | None:
    """Return labels by index; None where the indices are not different whole numbers."""
    if all(type(value) is int for value in document.values()):
        pairs = [(index, label) for label, index in document.items()]
    elif all(key.isdecimal() and len(key) < MAX_DIGITS for key in document):
        pairs = [(int(key), label) for key, label in document.items()]
    else:
        return None
    return dict(pairs) if len(dict(pairs)) == len(pairs) else None
