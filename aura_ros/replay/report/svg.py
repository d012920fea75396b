# SPDX-License-Identifier: Apache-2.0
"""Building blocks of the charts: scales, ticks, lines and text, as SVG.

Text is escaped by markupsafe, as in the templates. Colours come from the style sheet of the page, which has a light and
a dark form: an element has a class, 'a0', 'a1' and so on for the policies.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
WIDTH = 1160
"""Width of a chart in its own units, which are pixels on a page 1,280 pixels wide."""

_TIME_STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0)


@dataclass(frozen=True)
class Scale:
    """Maps values to positions along one side of a chart."""

    low: float
    """Value at `begin`."""
    high: float
    """Value at `end`."""
    begin: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the position of a value."""
        return float(self.positions(np.asarray(value)))

    def positions(self, values: Doubles) -> Doubles:
        """Return the positions of many values, of the same shape; NaN stays NaN."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        found = np.log(values) if self.log else values
        return np.asarray(self.begin + (found - low) / ((high - low) or 1.0) * (self.end - self.begin))

    def ticks(self, about: int = 6) -> list[float]:
        """Return round values within the scale, about so many: decades if it is logarithmic."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            every = max(1, -(-(last - first + 1) // about))
            return [10.0**power for power in range(first, last + 1, every)]
        rough = (self.high - self.low) / max(1, about)
        if not rough > 0.0:
            return [self.low]
        power = 10.0 ** math.floor(math.log10(rough))
        return self._multiples(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999))

    def time_ticks(self, about: int) -> list[float]:
        """Return round times [s] within the scale, at most about so many."""
        step = next((step for step in _TIME_STEPS if (self.high - self.low) / step <= about), 0.0)
        return self._multiples(step) if step else self.ticks(about)

    def _multiples(self, step: float) -> list[float]:
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def tag(name: str, *content: str, **attributes: object) -> Markup:
    """Return an element. 'class_' and 'text_anchor' become class and text-anchor; floats get one decimal."""
    words = Markup('').join(
        Markup(' {}="{}"').format(key.strip('_').replace('_', '-'), _attribute(value))
        for key, value in attributes.items()
    )
    inside = Markup('').join(content)
    return Markup(f'<{name}{words}>{inside}</{name}>' if inside else f'<{name}{words}/>')


def _attribute(value: object) -> object:
    return f'{value:.1f}'.removesuffix('.0') if isinstance(value, float) else value


def text(x: float, y: float, words: str, class_: str = '', anchor: str = 'start') -> Markup:
    """Return text whose 'start', 'middle' or 'end' is at a position."""
    return tag('text', words, x=float(x), y=float(y), class_=f'{class_} {anchor}'.strip())


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Return a straight line."""
    return tag('line', x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def polyline(x: Doubles, y: Doubles, class_: str) -> Markup:
    """Return a line through points, with a gap at each NaN; '' without a point."""
    parts: list[str] = []
    pen_down = False
    for across, down in zip(x.tolist(), y.tolist(), strict=True):
        if math.isnan(across) or math.isnan(down):
            pen_down = False
            continue
        parts.append(f'{"L" if pen_down else "M"}{across:.1f} {down:.1f}')
        pen_down = True
    return tag('path', d=''.join(parts), class_=class_) if parts else Markup('')


def broken(x: Doubles, y: Doubles, segments: NDArray[np.int64]) -> tuple[Doubles, Doubles]:
    """Return the points of a line that ends where a segment ends: with a NaN before each new number."""
    ends = np.flatnonzero(np.diff(segments)) + 1
    return np.insert(x, ends, x[ends]), np.insert(y, ends, math.nan)


def thinned(x: Doubles, y: Doubles, most: int = WIDTH) -> tuple[Doubles, Doubles]:
    """Return at most about `2 * most` points of a line that look the same: the lowest and highest of each part."""
    if len(x) <= 2 * most:
        return x, y
    kept: list[int] = []
    edges = np.linspace(0, len(x), most + 1).astype(int)
    for begin, end in pairwise(edges):
        part = y[begin:end]
        if np.isnan(part).all():
            kept.append(int(begin))
            continue
        kept += sorted({int(begin + np.nanargmin(part)), int(begin + np.nanargmax(part))})
    return x[kept], y[kept]


def chart(height: float, content: Iterable[str], label: str, width: float = WIDTH) -> Markup:
    """Return a complete chart; `label` describes it for screen readers."""
    size_class = 'wide' if width == WIDTH else 'half'
    view = f'0 0 {width:g} {height:g}'
    return tag('svg', *content, viewBox=view, role='img', aria_label=label, class_=size_class)


def axis_below(scale: Scale, top: float, bottom: float, say: Callable[[float], str], about: int = 10) -> list[Markup]:
    """Return ticks and numbers below a plot, with faint lines through it; `say` is `clock` for times."""
    parts = []
    for value in scale.time_ticks(about) if say is clock else scale.ticks(about):
        x = scale(value)
        parts += [line(x, top, x, bottom, 'grid'), text(x, bottom + 16, say(value), 'tick', 'middle')]
    return [*parts, line(scale.begin, bottom, scale.end, bottom, 'axis')]


def axis_left(scale: Scale, left: float, right: float, say: Callable[[float], str], about: int = 5) -> list[Markup]:
    """Return ticks and numbers left of a plot, with faint lines through it."""
    parts = []
    for value in scale.ticks(about):
        y = scale(value)
        parts += [line(left, y, right, y, 'grid'), text(left - 8, y + 4, say(value), 'tick', 'end')]
    return parts


def clock(seconds: float) -> str:
    """Return a time for people: '7.5 s', '2:05', '1:02:05'."""
    if seconds < 60:
        return f'{seconds:.3g} s'
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{rest:02d}' if hours else f'{minutes}:{rest:02d}'


def size(count: float) -> str:
    """Return a number of bytes for people: '4,224 B', '126 kB', '4.1 MB'."""
    if count < 10_000:
        return f'{count:,.0f} B'
    for unit, factor in (('kB', 1e3), ('MB', 1e6), ('GB', 1e9)):
        if count < 1000 * factor:
            return f'{count / factor:.3g} {unit}'
    return f'{count / 1e12:.3g} TB'
