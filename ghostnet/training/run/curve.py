"""The curve of a training run, drawn inside a page or a notebook."""

from collections.abc import Sequence

from ghostnet.training.run.log import Row

WIDTH, HEIGHT = 640, 240
MARGIN = 56
"""Space for the figures beside and below the curve."""

LOSS, SCORE = "#1f77b4", "#ff7f0e"


def curve_svg(rows: Sequence[Row]) -> str:
    """Draw loss and score by epoch, each from its least to its largest value."""
    if not rows:
        return ""
    losses, scores = [row.loss for row in rows], [100 * row.score for row in rows]
    title = rows[0].title
    left = _labels(losses, "{:.3g}", MARGIN - 6, "end", LOSS)
    right = _labels(scores, "{:.1f} %", WIDTH - MARGIN + 6, "start", SCORE)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" font-size="11" '
        f'font-family="sans-serif" aria-label="Loss and {title} by epoch">'
        f"{_line(losses, LOSS)}{_line(scores, SCORE)}{left}{right}"
        f'<text x="{MARGIN}" y="{HEIGHT - 8}" fill="{LOSS}">training loss</text>'
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle" fill="currentColor">'
        f"epochs 1 to {len(rows)}</text>"
        f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 8}" text-anchor="end" fill="{SCORE}">'
        f"{title}, held-out images</text></svg>\n"
    )


def _line(values: Sequence[float], color: str) -> str:
    """Return the line through values, with a dot at each."""
    width, height = WIDTH - 2 * MARGIN, HEIGHT - MARGIN
    low, high = min(values), max(values)
    step = width / max(1, len(values) - 1)
    points = [
        (MARGIN + step * place, 14 + height * (high - value) / ((high - low) or 1))
        for place, value in enumerate(values)
    ]
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{color}"/>' for x, y in points)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="1.5"/>{dots}'


def _labels(values: Sequence[float], form: str, x: int, anchor: str, color: str) -> str:
    """Return the largest value at the top of the plot, and the least at its bottom."""
    ends = {18: max(values), HEIGHT - MARGIN + 18: min(values)}
    return "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{color}">{form.format(value)}</text>'
        for y, value in ends.items()
    )
