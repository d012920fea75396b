# SPDX-License-Identifier: Apache-2.0
"""How policies look in the report: a class of the style sheet for each, with colour and dash, and a marker."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from aura_ros.common.policy_styles import STYLES, styles_of
from aura_ros.replay.report import svg

Shape = list[tuple[float, float]]


def classes_of(names: Sequence[str]) -> dict[str, str]:
    """Return the class of each policy of a report."""
    return {name: f'p{place}' for place, name in enumerate(names)}


def style_rules(names: Sequence[str]) -> Markup:
    """Return the rules of the style sheet that give each policy its colours and its dash."""
    styles, classes = styles_of(names), classes_of(names)
    light = [f'.{classes[name]} {{ --c: {style.light}; }}' for name, style in styles.items()]
    dark = [f'.{classes[name]} {{ --c: {style.dark}; }}' for name, style in styles.items()]
    dashes = [
        f'.{classes[name]}.dashed {{ stroke-dasharray: {" ".join(map(str, style.dash))}; }}'
        for name, style in styles.items()
        if style.dash
    ]
    accents = (f':root {{ --accent: {colour}; }}' for colour in (STYLES['aura'].light, STYLES['aura'].dark))
    rules = [next(accents), *light, '@media (prefers-color-scheme: dark) {', next(accents), *dark, '}', *dashes]
    return Markup('\n'.join(rules))


def _star(points: int, inner: float, turn: float = 0.0) -> Shape:
    """Return a star, or a regular polygon if the inner corners lie on its sides."""
    angles = [turn - math.pi / 2 + math.pi * corner / points for corner in range(2 * points)]
    radii = [1.0 if corner % 2 == 0 else inner for corner in range(2 * points)]
    return [
        (round(radius * math.cos(angle), 2), round(radius * math.sin(angle), 2))
        for angle, radius in zip(angles, radii, strict=True)
    ]


def _polygon(corners: int, turn: float = 0.0) -> Shape:
    return _star(corners, math.cos(math.pi / corners), turn)


_CROSS: Shape = [(x * 0.33, y * 0.33) for x, y in ((-1, -3), (1, -3), (1, -1), (3, -1), (3, 1), (1, 1))]
_PLUS: Shape = [*_CROSS, *((-x, -y) for x, y in _CROSS)]
SHAPES: dict[str, Shape] = {
    'o': _polygon(16),
    's': [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    '^': _polygon(3),
    'v': _polygon(3, math.pi),
    '<': _polygon(3, -math.pi / 2),
    '>': _polygon(3, math.pi / 2),
    'D': _polygon(4),
    'd': [(0, -1.1), (0.6, 0), (0, 1.1), (-0.6, 0)],
    'P': _PLUS,
    'X': [(round(0.71 * (x - y), 2), round(0.71 * (x + y), 2)) for x, y in _PLUS],
    'p': _polygon(5),
    'h': _polygon(6),
    'H': _polygon(6, math.pi / 6),
    '8': _polygon(8, math.pi / 8),
    '*': _star(5, 0.42),
}
"""Corners of each marker, within a circle of radius 1 or so."""


def marker(name: str, names: Sequence[str], x: float, y: float, radius: float = 4.5) -> Markup:
    """Return the marker of a policy at a position."""
    corners = ' '.join(
        f'{x + radius * dx:.1f},{y + radius * dy:.1f}' for dx, dy in SHAPES[styles_of(names)[name].marker]
    )
    return svg.tag('polygon', points=corners, class_=f'dot {classes_of(names)[name]}')


def swatch(name: str, names: Sequence[str]) -> Markup:
    """Return a piece of the policy's line with its marker, for legends and tables."""
    class_ = classes_of(names)[name]
    parts = (svg.line(0, 7, 34, 7, f'line {class_} dashed'), marker(name, names, 17, 7))
    return svg.tag('svg', *parts, width='34', height='14', viewBox='0 0 34 14', class_='swatch', aria_hidden='true')
