"""A small drawing of boxes and arrows, written as SVG: the same bytes for the same drawing, anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

FONT = "font-family='system-ui, -apple-system, Segoe UI, Roboto, DejaVu Sans, sans-serif'"
FILLS = {"plain": "#eef2f8", "peer": "#d7ebdd", "quiet": "#f6f3ea"}
INK, SOFT, PAPER = "#1d2733", "#4a5866", "#ffffff"
LINE = 17


@dataclass(frozen=True)
class _Box:
    x: float
    y: float
    w: float
    h: float

    def edge(self, toward: tuple[float, float]) -> tuple[float, float]:
        """Where a line from the middle to ``toward`` leaves the box."""
        dx, dy = toward[0] - self.x, toward[1] - self.y
        scale = min(
            (self.w / 2 + 3) / abs(dx) if dx else math.inf, (self.h / 2 + 3) / abs(dy) if dy else math.inf
        )
        return self.x + dx * scale, self.y + dy * scale


class Drawing:
    """Boxes by name, and arrows between them; positions are the middles of boxes, in pixels."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._size, self._title = (width, height), title
        self._boxes: dict[str, _Box] = {}
        self._parts: list[str] = []
        self._labels: list[str] = []

    def box(
        self, name: str, x: float, y: float, title: str, *lines: str, w: float, h: float, kind: str = "plain"
    ) -> None:
        """A box with a title and lines below it."""
        self._boxes[name] = _Box(x, y, w, h)
        self._parts.append(
            f"<rect x='{x - w / 2:g}' y='{y - h / 2:g}' width='{w:g}' height='{h:g}' rx='8' "
            f"fill='{FILLS[kind]}' stroke='{SOFT}'/>"
        )
        top = y - LINE * len(lines) / 2 + 5
        self._text(x, top, title, size=15, weight="bold", ink=INK)
        for number, line in enumerate(lines, start=1):
            self._text(x, top + LINE * number, line, size=12, ink=SOFT)

    def arrow(
        self,
        start: str,
        end: str,
        why: str = "",
        *,
        both: bool = False,
        dashed: bool = False,
        at: float = 0.5,
    ) -> None:
        """A straight arrow; ``why`` stands beside its middle, or where ``at`` says."""
        a, b = self._boxes[start], self._boxes[end]
        (x1, y1), (x2, y2) = a.edge((b.x, b.y)), b.edge((a.x, a.y))
        self._line(f"M{x1:.1f} {y1:.1f} L{x2:.1f} {y2:.1f}", both, dashed)
        self._label(x1 + (x2 - x1) * at, y1 + (y2 - y1) * at - 5, why)

    def bent(self, start: str, end: str, why: str) -> None:
        """An arrow that leaves room for the one in the other direction."""
        a, b = self._boxes[start], self._boxes[end]
        length = math.hypot(b.x - a.x, b.y - a.y)
        nx, ny = (b.y - a.y) / length, -(b.x - a.x) / length
        middle = ((a.x + b.x) / 2 + 46 * nx, (a.y + b.y) / 2 + 46 * ny)
        (x1, y1), (x2, y2) = a.edge(middle), b.edge(middle)
        self._line(f"M{x1:.1f} {y1:.1f} Q{middle[0]:.1f} {middle[1]:.1f} {x2:.1f} {y2:.1f}")
        self._label((a.x + b.x) / 2 + 32 * nx, (a.y + b.y) / 2 + 32 * ny + 4, why)

    def arc(self, start: str, end: str, why: str, depth: float) -> None:
        """An arrow in both directions below everything between two boxes."""
        a, b = self._boxes[start], self._boxes[end]
        y1, y2 = a.y + a.h / 2 + 3, b.y + b.h / 2 + 3
        self._line(
            f"M{a.x:.1f} {y1:.1f} C{a.x:.1f} {depth:.1f} {b.x:.1f} {depth:.1f} {b.x:.1f} {y2:.1f}", True
        )
        self._label((a.x + b.x) / 2, depth + 10, why)

    def elbow(self, start: str, end: str) -> None:
        """An arrow that goes sideways, then up."""
        a, b = self._boxes[start], self._boxes[end]
        self._line(f"M{a.x - a.w / 2 - 3:.1f} {a.y:.1f} H{b.x:.1f} V{b.y + b.h / 2 + 3:.1f}")

    def text(self) -> str:
        """The SVG."""
        width, height = self._size
        head = (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' "
            f"height='{height}' role='img' aria-label='{escape(self._title, quote=True)}' {FONT}>"
        )
        tip = (
            "<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='8' markerHeight='8' "
            f"orient='auto-start-reverse'><path d='M0 0 L8 4 L0 8 z' fill='{SOFT}'/></marker></defs>"
        )
        paper = f"<rect width='{width}' height='{height}' fill='{PAPER}'/>"
        return "\n".join(
            [head, f"<title>{escape(self._title)}</title>", tip, paper, *self._all(), "</svg>\n"]
        )

    def _all(self) -> Iterable[str]:
        yield from self._parts
        yield from self._labels

    def _line(self, path: str, both: bool = False, dashed: bool = False) -> None:
        start = " marker-start='url(#tip)'" if both else ""
        dashes = " stroke-dasharray='5 4'" if dashed else ""
        self._parts.append(
            f"<path d='{path}' fill='none' stroke='{SOFT}' stroke-width='1.5' "
            f"marker-end='url(#tip)'{start}{dashes}/>"
        )

    def _label(self, x: float, y: float, why: str) -> None:
        """Words on top of the lines, with paper around them so that they can be read there."""
        if why:
            self._labels.append(
                f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='middle' font-size='12' fill='{INK}' "
                f"stroke='{PAPER}' stroke-width='4' paint-order='stroke'>{escape(why)}</text>"
            )

    def _text(self, x: float, y: float, words: str, *, size: int, ink: str, weight: str = "normal") -> None:
        self._parts.append(
            f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='middle' font-size='{size}' font-weight='{weight}' "
            f"fill='{ink}'>{escape(words)}</text>"
        )
