"""What made the labels of one image: evidence as a plot, beside the image."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ghostnet.errors import ImageError
from ghostnet.files import raising, write_whole
from ghostnet.model.result import Prediction, Result

PANEL = 320
"""Side of the image in the plot, in pixels."""

GAP = 12
CAPTION = 30
FONT_SIZE = 17

FORMATS = {".jpeg": "JPEG", ".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
"""Formats of the plot, by suffix."""

SHADES = np.array([(20, 20, 60), (130, 20, 110), (230, 60, 50), (255, 170, 30), (255, 250, 160)])
"""Colors of rising evidence."""

DIMMED = 0.35
"""Brightness of what does not count, as a share of the image's own."""


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """What a model says about an image, and which places made it say so.

    Attributes:
        result: The labels.
        seen: What the network saw, in RGB: the center of the image, resized.
        predictions: The explained labels, the likeliest first.
        evidence: (labels, height, width) float32: what each place of the last map adds to the logit
            of each label; below 0 where it speaks against it.

    Examples:
        >>> explanation = ghostnet.open_model().explain("cat.jpg")
        >>> explanation.peak(0)
        (177, 149)
        >>> explanation.save("why.png")
    """

    result: Result
    seen: Image.Image
    predictions: tuple[Prediction, ...]
    evidence: NDArray[np.float32]

    def heat(self, index: int) -> NDArray[np.float32]:
        """Return the evidence for one of the labels at each pixel of `seen`.

        Args:
            index: Place of the label in `predictions`.

        Returns:
            (height, width) float32 from 0 to 1; all 0 where nothing speaks for the label.
        """
        positive = Image.fromarray(np.maximum(self.evidence[index], 0))
        heat = np.asarray(positive.resize(self.seen.size, Image.Resampling.BICUBIC)).clip(0)
        most = heat.max()
        return heat / most if most > 0 else heat

    def peak(self, index: int) -> tuple[int, int]:
        """Return the column and row of `seen` with the most evidence for one of the labels."""
        heat = self.heat(index)
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        return int(column), int(row)

    def plot(self) -> Image.Image:
        """Draw the image, and for each label its evidence, side by side."""
        panels = [self.seen] + [self.lit(index) for index in range(len(self.predictions))]
        captions = ["seen by the network"]
        captions += [f"{one.label}  {one.probability:.1%}" for one in self.predictions]
        step = PANEL + GAP
        plot = Image.new("RGB", (GAP + step * len(panels), PANEL + GAP + CAPTION + GAP), "white")
        draw = ImageDraw.Draw(plot)
        font = ImageFont.load_default(FONT_SIZE)
        for number, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
            left = GAP + step * number
            plot.paste(panel.resize((PANEL, PANEL), Image.Resampling.BICUBIC), (left, GAP))
            place = (left, GAP + PANEL + CAPTION // 2)
            draw.text(place, _fitting(caption, font), "black", font, anchor="lm")
        return plot

    def save(self, path: str | Path) -> None:
        """Write the plot to a file, in the format of its suffix.

        Raises:
            ImageError: The suffix is not known, or the file cannot be written.
        """
        path = Path(path)
        format = check_suffix(path)
        content = io.BytesIO()
        self.plot().save(content, format)
        with raising(ImageError, f"{path}: cannot be written", "name another file"):
            write_whole(path, content.getvalue())

    def to_dict(self) -> dict[str, Any]:
        """Return the labels as JSON types.

        Returns:
            As `Result.to_dict`; each prediction has its ``peak``, and ``seen`` is the size of the
            image in which that counts.
        """
        answer = self.result.to_dict(len(self.predictions))
        for index, prediction in enumerate(answer["predictions"]):
            prediction["peak"] = self.peak(index)
        return answer | {"seen": self.seen.size}

    def lit(self, index: int) -> Image.Image:
        """Return `seen`, dim where nothing speaks for a label, and colored where much does."""
        heat = self.heat(index)[..., None]
        steps = np.linspace(0, 1, len(SHADES))
        color = np.stack([np.interp(heat[..., 0], steps, shade) for shade in SHADES.T], -1)
        image = np.asarray(self.seen) * (DIMMED + (1 - DIMMED) * heat)
        lit = image * (1 - heat / 2) + color * heat / 2
        return Image.fromarray(np.rint(lit).clip(0, 255).astype(np.uint8))

    def __repr__(self) -> str:
        return f"Explanation({self.result!r})"

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows."""
        content = io.BytesIO()
        self.plot().save(content, "PNG")
        return content.getvalue()


def check_suffix(path: Path) -> str:
    """Return the format that a plot has in a file of this name.

    Raises:
        ImageError: There is none.
    """
    format = FORMATS.get(path.suffix.lower())
    if format is None:
        raise ImageError(
            f"{path}: the suffix names no format for a plot; use one of {', '.join(FORMATS)}"
        )
    return format


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Shorten a caption to the width of a panel."""
    while len(text) > 1 and font.getlength(text) > PANEL:
        text = f"{text[:-2]}…"
    return text
