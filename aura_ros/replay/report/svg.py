# SPDX-License-Identifier: Apache-2.0
"""The few pieces that the report's pictures are drawn with: scales, ticks, lines, text; all as SVG text.

Colours are left to the page's style sheet, which has a light and a dark form: a line is of a *class*, 'a0', 'a1', …
for the policies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
WIDTH = 1160
"""Width of a picture in its own units, which are pixels on a page of 1,280."""

_TIME_STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0)


@dataclass(frozen=True)
class Scale:
    """From values to places along one side of a picture.

    low, high: values at the ends.
    begin, end: their places.
    log: whether steps are factors.
    """

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        share = ((math.log(value) if self.log else value) - low) / ((high - low) or 1.0)
        return self.begin + share * (self.end - self.begin)

    def places(self, values: Doubles) -> Doubles:
        """The places of many values; NaN stays NaN."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        found = np.log(values) if self.log else values
        return np.asarray(self.begin + (found - low) / ((high - low) or 1.0) * (self.end - self.begin))

    def ticks(self, about: int = 6) -> list[float]:
        """Round values within the scale: decades of a logarithmic one, else about so many."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            every = max(1, -(-(last - first + 1) // about))
            return [10.0**power for power in range(first, last + 1, every)]
        rough = (self.high - self.low) / max(1, about)
        if not rough > 0.0:
            return [self.low]
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def tag(name: str, content: str = '', /, **attributes: Any) -> str:
    """An element; 'class_' and 'text_anchor' become class and text-anchor, numbers get one decimal."""
    words = ''.join(f' {key.strip("_").replace("_", "-")}="{_attribute(value)}"' for key, value in attributes.items())
    return f'<{name}{words}>{content}</{name}>' if content else f'<{name}{words}/>'


def _attribute(value: Any) -> str:
    return f'{value:.1f}'.removesuffix('.0') if isinstance(value, float) else escape(str(value))


def text(x: float, y: float, words: str, class_: str = '', anchor: str = 'start', **more: Any) -> str:
    """Words at a place: 'start', 'middle' or 'end' of them."""
    return tag('text', escape(words), x=float(x), y=float(y), class_=f'{class_} {anchor}'.strip(), **more)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    """A straight line."""
    return tag('line', x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def polyline(x: Doubles, y: Doubles, class_: str) -> str:
    """A line through places, with a break wherever one is NaN; '' without a place."""
    parts: list[str] = []
    pen_down = False
    for across, down in zip(x.tolist(), y.tolist(), strict=True):
        if math.isnan(across) or math.isnan(down):
            pen_down = False
            continue
        parts.append(f'{"L" if pen_down else "M"}{across:.1f} {down:.1f}')
        pen_down = True
    return tag('path', d=''.join(parts), class_=class_) if parts else ''


def thinned(x: Doubles, y: Doubles, most: int = WIDTH) -> tuple[Doubles, Doubles]:
    """A line of at most about `2 most` points that looks the same: lowest and highest of each stretch are kept."""
    if len(x) <= 2 * most:
        return x, y
    kept: list[int] = []
    edges = np.linspace(0, len(x), most + 1).astype(int)
    for begin, end in pairwise(edges):
        stretch = y[begin:end]
        if np.isnan(stretch).all():
            kept.append(int(begin))
            continue
        kept += sorted({int(begin + np.nanargmin(stretch)), int(begin + np.nanargmax(stretch))})
    return x[kept], y[kept]


def picture(height: float, content: Sequence[str], label: str, width: float = WIDTH) -> str:
    """A whole picture; `label` says in words what it shows."""
    return tag(
        'svg',
        ''.join(content),
        viewBox=f'0 0 {width:g} {height:g}',
        role='img',
        aria_label=label,
        class_='wide' if width == WIDTH else 'half',
    )


def axis_below(scale: Scale, top: float, bottom: float, say: Callable[[float], str], about: int = 10) -> list[str]:
    """Ticks and numbers below a plot, with faint lines through it; `say` is `clock` where they are times."""
    parts = []
    for value in time_ticks(scale, about) if say is clock else scale.ticks(about):
        x = scale(value)
        parts += [line(x, top, x, bottom, 'grid'), text(x, bottom + 16, say(value), 'tick', 'middle')]
    return [*parts, line(scale.begin, bottom, scale.end, bottom, 'axis')]


def axis_left(scale: Scale, left: float, right: float, say: Callable[[float], str], about: int = 5) -> list[str]:
    """Ticks and numbers left of a plot, with faint lines through it."""
    parts = []
    for value in scale.ticks(about):
        y = scale(value)
        parts += [line(left, y, right, y, 'grid'), text(left - 8, y + 4, say(value), 'tick', 'end')]
    return parts


def time_ticks(scale: Scale, about: int) -> list[float]:
    """Times within a scale that are round to people, at most about so many."""
    step = next((step for step in _TIME_STEPS if (scale.high - scale.low) / step <= about), 0.0)
    if not step:
        return scale.ticks(about)
    first, last = math.ceil(scale.low / step - 1e-9), math.floor(scale.high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def clock(seconds: float) -> str:
    """A time as people read it: '7.5 s', '2:05', '1:02:05'."""
    if seconds < 60:
        return f'{seconds:.3g} s'
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{rest:02d}' if hours else f'{minutes}:{rest:02d}'


def size(count: float) -> str:
    """Bytes as people read them: '4,224 B', '126 kB', '4.1 MB'."""
    if count < 10_000:
        return f'{count:,.0f} B'
    for unit, factor in (('kB', 1e3), ('MB', 1e6), ('GB', 1e9)):
        if count < 1000 * factor:
            return f'{count / factor:.3g} {unit}'
    return f'{count / 1e12:.3g} TB'
