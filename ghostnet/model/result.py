"""What a model says about an image."""

import base64
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.errors import ImageError
from ghostnet.model.images import ImageSource
from ghostnet.model.pipeline import Logits
from ghostnet.model.probabilities import probabilities_of

ESCAPE = re.compile(r"\\udc([89a-f][0-9a-f])")
"""A byte of a file name that is not UTF-8, as `printable` writes it."""

SHOWN = 3
"""Labels of an image that are shown, if it has one class."""


NO_LABEL = "no label"
"""What is shown for an image that may have several labels and is given none."""


@dataclass(frozen=True)
class Prediction:
    """A label with its index and its probability."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What a model says about an image.

    An image that could not be read has an ``error``; its other attributes raise that error.

    Attributes:
        image: The image, under its name.
        labels: Labels of the model.
        outcome: The network's answer, or the error.
        thresholds: Probability from which each label is given, if an image may have several labels;
            None if it has one.

    Examples:
        >>> result = ghostnet.open_model().predict("cat.jpg")
        >>> result.label, round(result.probability, 2)
        ('Abyssinian', 0.72)
        >>> [prediction.label for prediction in result.top(2)]
        ['Abyssinian', 'Bengal']
    """

    image: ImageSource
    labels: tuple[str, ...]
    outcome: Logits | ImageError
    thresholds: tuple[float, ...] | None = None

    @property
    def name(self) -> str:
        """Name of the image: its path, or its number among those that were passed."""
        return self.image.name

    @property
    def error(self) -> ImageError | None:
        """Why the image has no answer; None if it has one."""
        return self.outcome if isinstance(self.outcome, ImageError) else None

    @property
    def logits(self) -> NDArray[np.float32]:
        """(classes,) float32."""
        return self._answer.values

    @property
    def milliseconds(self) -> float:
        """Time of the network for this image, without decoding."""
        return self._answer.milliseconds

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """(classes,) float64: the softmax of the logits, or the sigmoid for several labels."""
        return probabilities_of(self.logits, multi_label=self.thresholds is not None)

    @property
    def label(self) -> str:
        """The likeliest label."""
        return self.top(1)[0].label

    @property
    def index(self) -> int:
        """Index of the likeliest label."""
        return self.top(1)[0].index

    @property
    def probability(self) -> float:
        """Probability of the likeliest label, between 0 and 1."""
        return self.top(1)[0].probability

    def top(self, count: int = 5) -> list[Prediction]:
        """Return the ``count`` likeliest labels, best first."""
        best = np.argsort(-self.probabilities, kind="stable")[:count]
        return [Prediction(self.labels[i], int(i), float(self.probabilities[i])) for i in best]

    def given(self, count: int | None = None) -> list[Prediction]:
        """Return the labels that the model gives, likeliest first.

        They are those that reach their thresholds, possibly none, if an image may have several
        labels, and otherwise the ``count`` likeliest.

        Args:
            count: The most labels to return; by default five, or all that reach their thresholds.
        """
        if self.thresholds is None:
            return self.top() if count is None else self.top(count)
        reaching = self.probabilities >= np.array(self.thresholds)
        return [one for one in self.top(len(self.labels)) if reaching[one.index]][:count]

    def to_dict(self, count: int | None = None) -> dict[str, Any]:
        """Return the labels that the model gives, at most ``count``, or the error, as JSON types.

        Returns:
            ``{"file": name, "predictions": [{"label": …, "index": …, "probability": …}, …]}``, or
            ``{"file": name, "error": reason}``.
        """
        if self.error:
            return {"file": printable(self.name), "error": str(self.error)}
        predictions = [vars(prediction) for prediction in self.given(count)]
        return {"file": printable(self.name), "predictions": predictions}

    @property
    def _answer(self) -> Logits:
        if isinstance(self.outcome, ImageError):
            raise self.outcome
        return self.outcome

    def __repr__(self) -> str:
        if self.error:
            return f"Result(error={str(self.error)!r})"
        shown = ", ".join(f"{best.label} {best.probability:.1%}" for best in self.given(SHOWN))
        return f"Result({self.name!r}: {shown or NO_LABEL})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a thumbnail, and the likeliest labels or the error."""
        thumbnail = self.image.thumbnail()
        picture = ""
        if thumbnail:
            data = base64.b64encode(thumbnail).decode()
            picture = f'<img src="data:image/jpeg;base64,{data}" alt="{escape(self.name)}">'
        if self.error:
            rows = f"<tr><td>{escape(str(self.error))}</td></tr>"
        else:
            rows = "".join(
                f"<tr><td>{escape(best.label)}</td><td>{best.probability:.1%}</td></tr>"
                for best in self.given(SHOWN)
            )
        return (
            f"<table><caption>{escape(self.name)}</caption>"
            f'<tr><td rowspan="{SHOWN + 1}">{picture}</td></tr>{rows}</table>'
        )


def shown_count(labels: tuple[str, ...], thresholds: tuple[float, ...] | None) -> int:
    """Return the most labels of an image that are shown unless another number is asked for."""
    return SHOWN if thresholds is None else len(labels)


def printable(name: str) -> str:
    """Return a file name as documents hold it: bytes that are not UTF-8 become escapes."""
    with suppress(UnicodeError):
        return os.fsencode(name).decode()
    return name.encode(errors="backslashreplace").decode()


def path_of(printed: str) -> str:
    """Return the path of the file that has this `printable` name."""
    if not ESCAPE.search(printed) or os.path.lexists(printed):
        return printed
    return ESCAPE.sub(lambda found: chr(0xDC00 + int(found[1], 16)), printed)
