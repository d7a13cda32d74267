"""
Bars as SVG, readable on light and on dark ground. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from bench.table import OURS, Entrant, number

_WIDTH: Final = 820
_LEFT: Final = 345
_RIGHT: Final = 110
_TOP: Final = 46
_BAR: Final = 20
_STEP: Final = 30
_STYLE: Final = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px }
.quiet { fill: #59636e }
.ours { fill: #0969da }
.peer { fill: #afb8c1 }
.range { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .quiet { fill: #9198a1 }
  .ours { fill: #4493f8 }
  .peer { fill: #656c76 }
  .range { stroke: #f0f6fc }
}"""


def bars(title: str, figure: str, entrants: Sequence[Entrant]) -> str:
    """
    Draw the medians of a figure, one bar for each entrant that has it, and a line from the least run to the most.
    """
    measured = [(entrant.name, found) for entrant in entrants if (found := entrant.spread(figure)) is not None]
    longest = max((found.most for _, found in measured), default=0.0) or 1.0
    height = _TOP + _STEP * len(measured) + 8
    scale = (_WIDTH - _LEFT - _RIGHT) / longest
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(title)}: {escape(figure)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="8" y="20">{escape(title)}</text>',
        f'<text class="quiet" x="8" y="37">{escape(figure)}</text>',
    ]
    for place, (name, found) in enumerate(measured):
        top = _TOP + place * _STEP
        middle = top + _BAR / 2
        left, right, end = (_LEFT + value * scale for value in (found.least, found.most, found.median))
        kind = "ours" if name.startswith(OURS) else "peer"
        parts += [
            f'<text x="{_LEFT - 10}" y="{middle + 4.5:.1f}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{kind}" x="{_LEFT}" y="{top}" width="{max(1.0, end - _LEFT):.1f}" height="{_BAR}" rx="2"/>',
            f'<text x="{max(end, right) + 8:.1f}" y="{middle + 4.5:.1f}">{number(found.median)}</text>',
        ]
        if found.most > found.least:
            parts.append(f'<line class="range" x1="{left:.1f}" x2="{right:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"/>')
    return "\n".join([*parts, "</svg>\n"])
