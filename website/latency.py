"""The drawing of engines on the first page."""

from measured import ENGINES, Times

TITLE = "Milliseconds for one image, ghostnet_1x on two CPU cores; less is better"
STYLE = (
    "svg { font: 14px sans-serif; fill: #808893 } .ghostnet { font-weight: bold; fill: #5c6bc0 }"
)
ROW, LEFT, WIDTH = 30, 130, 760


def drawing(times: Times) -> str:
    """Draw a bar for each engine, as an SVG; MindSpore's would leave no room for the others."""
    engines = [engine for engine in ENGINES if engine in times and engine != "mindspore"]
    scale = (WIDTH - LEFT - 70) / max(times[engine] for engine in engines)
    bars = []
    for row, engine in enumerate(engines, 1):
        top, width = ROW * row, times[engine] * scale
        bars.append(
            f'<g class="{engine}"><rect x="{LEFT}" y="{top}" width="{width:.1f}" height="20"/>'
            f'<text x="{LEFT - 10}" y="{top + 15}" text-anchor="end">{ENGINES[engine]}</text>'
            f'<text x="{LEFT + width + 8:.1f}" y="{top + 15}">{times[engine]:.1f}</text></g>'
        )
    size = f"0 0 {WIDTH} {ROW * len(engines) + ROW}"
    begin = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" role="img">'
    title = f'<title>{TITLE}</title><text x="{LEFT}" y="18">{TITLE}</text>'
    return "\n".join([begin, f"<style>{STYLE}</style>", title, *bars, "</svg>\n"])
