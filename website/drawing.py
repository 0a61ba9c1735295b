"""The drawing of engines on the first page."""

from measured import ENGINES, ONE_IMAGE, inference

LEFT_OUT = {"mindspore"}
"""Engines whose bar would leave no room for the others."""

BAR, ROW, LEFT, WIDTH = 20, 30, 130, 760

STYLE = """text { font: 14px sans-serif; fill: #808893 }
    .own { font-weight: bold }
    .own, rect.own { fill: #5c6bc0 }
    rect { fill: #9aa1ab }"""


def latency_svg() -> str:
    """Return bars for the time of one image in each engine."""
    measured = inference()[ONE_IMAGE]
    times = {
        name: measured[engine]
        for engine, name in ENGINES.items()
        if engine in measured.keys() - LEFT_OUT
    }
    scale = (WIDTH - LEFT - 70) / max(times.values())
    height = ROW * len(times) + 30
    title = "Milliseconds for one image, ghostnet_1x on two CPU cores; less is better"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"  <title>{title}</title>",
        f"  <style>\n    {STYLE}\n  </style>",
        f'  <text x="{LEFT}" y="18">{title}</text>',
    ]
    for index, (name, time) in enumerate(times.items()):
        y, length = 30 + ROW * index, time * scale
        own = ' class="own"' if index == 0 else ""
        lines += [
            f'  <text x="{LEFT - 10}" y="{y + 15}" text-anchor="end"{own}>{name}</text>',
            f'  <rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}"{own}/>',
            f'  <text x="{LEFT + length + 8:.1f}" y="{y + 15}"{own}>{time:.1f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
