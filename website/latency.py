"""The drawing of engines on the first page."""

from measured import ENGINES, Times

TITLE = "Milliseconds for one image, ghostnet_1x on two CPU cores; less is better"
STYLE = "svg { font: 14px sans-serif; fill: #808893 } .own { font-weight: bold; fill: #5c6bc0 }"
BAR, ROW, LEFT, WIDTH = 20, 30, 130, 760


def drawing(times: Times) -> str:
    """Draw a bar for each engine, as an SVG; MindSpore's would leave no room for the others."""
    engines = [engine for engine in ENGINES if engine in times and engine != "mindspore"]
    scale = (WIDTH - LEFT - 70) / max(times[engine] for engine in engines)
    lines = []
    for top, engine in zip(range(ROW, ROW * len(engines) + 1, ROW), engines, strict=True):
        end = LEFT + times[engine] * scale
        text, kind = top + 15, "own" if engine == "ghostnet" else "peer"
        lines += [
            f'<g class="{kind}">',
            f'<text x="{LEFT - 10}" y="{text}" text-anchor="end">{ENGINES[engine]}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{end - LEFT:.1f}" height="{BAR}"/>',
            f'<text x="{end + 8:.1f}" y="{text}">{times[engine]:.1f}</text>',
            "</g>",
        ]
    size = f"0 0 {WIDTH} {ROW * len(engines) + ROW}"
    begin = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" role="img">'
    head = [f"<title>{TITLE}</title>", f"<style>{STYLE}</style>"]
    return "\n".join([begin, *head, f'<text x="{LEFT}" y="18">{TITLE}</text>', *lines, "</svg>\n"])
