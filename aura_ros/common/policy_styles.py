# SPDX-License-Identifier: Apache-2.0
"""How each policy and memory looks in every picture: the report, the figures of the benchmarks, the monitor.

Colours alone cannot separate more than a few lines for everybody, so each name also has a dash and a marker. A colour
has a contrast of at least 4.5:1 with its background, because labels have it too. test/common/test_policy_styles.py
checks both, also as the common kinds of colour blindness see them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class PolicyStyle:
    """How the lines and points of one policy are drawn."""

    light: str
    """Colour on white, #rrggbb."""
    dark: str
    """Colour on a dark background, #rrggbb."""
    dash: tuple[int, ...]
    """Lengths of a dash, a gap and so on [px]; empty: solid."""
    marker: str
    """Shape of a point, by the letter of matplotlib."""

    def colour(self, dark: bool) -> str:
        """Return the colour for a dark or a light background."""
        return self.dark if dark else self.light


_GREY, _BLUE, _OCHRE = ('#616a77', '#a3acb8'), ('#006ba6', '#56b4e9'), ('#8a5a00', '#e69f00')
_WINE, _VIOLET, _GREEN = ('#660055', '#ff4488'), ('#8811ff', '#eeccff'), ('#003d29', '#55ff77')
_INDIGO, _RED, _OLIVE = ('#1111aa', '#7777ff'), ('#b84040', '#ffbbaa'), ('#333300', '#998844')
_TEAL, _ROSE, _BROWN, _BLACK = (
    ('#00665c', '#b0f0dc'),
    ('#c2185b', '#ff7777'),
    ('#5c4033', '#d2a679'),
    ('#000000', '#ffffff'),
)

STYLES: Mapping[str, PolicyStyle] = MappingProxyType(
    {
        # the policies of the robot and of a replay
        'base': PolicyStyle(*_GREY, (), 'o'),
        'aura': PolicyStyle(*_BLUE, (), 's'),
        'kv': PolicyStyle(*_OCHRE, (), '^'),
        'kv-window': PolicyStyle(*_WINE, (8, 4), 'v'),
        'always': PolicyStyle(*_VIOLET, (2, 3), 'D'),
        'random': PolicyStyle(*_GREEN, (6, 3, 1, 3), 'X'),
        'periodic': PolicyStyle(*_INDIGO, (12, 4), 'P'),
        'elmur': PolicyStyle(*_RED, (10, 3, 2, 3), 'h'),
        'memoryless': PolicyStyle(*_OLIVE, (4, 2), '*'),
        # further memories of the benchmarks; the forms of one memory share its colour
        'none': PolicyStyle(*_GREY, (4, 2), 'd'),
        'aura-content': PolicyStyle(*_BLUE, (8, 3), 'D'),
        'aura-silent': PolicyStyle(*_BLUE, (2, 3), 'd'),
        'always-content': PolicyStyle(*_VIOLET, (8, 3), 'H'),
        'elmur-gradient': PolicyStyle(*_RED, (4, 2), 'p'),
        'elmur-detached': PolicyStyle(*_RED, (2, 2), '8'),
        'elmur-wide': PolicyStyle(*_RED, (), 'H'),
        'gru': PolicyStyle(*_TEAL, (5, 2), '<'),
        'lstm': PolicyStyle(*_ROSE, (9, 2, 2, 2), 'v'),
        'ssm': PolicyStyle(*_BROWN, (6, 2), 'd'),
        'reconstruction': PolicyStyle(*_ROSE, (3, 2), 'P'),
        'oracle': PolicyStyle(*_BLACK, (), 'X'),
    }
)
"""The style of each known policy or memory by its name."""

OWN_STYLES = (
    PolicyStyle(*_TEAL, (14, 3), 'p'),
    PolicyStyle(*_ROSE, (3, 3), '>'),
    PolicyStyle(*_BROWN, (14, 3, 3, 3), 'D'),
    PolicyStyle(*_BLACK, (7, 3), 'd'),
)
"""The styles of names that are not known, in their order."""


def styles_of(names: Iterable[str]) -> dict[str, PolicyStyle]:
    """Return the style of each name. The names of a picture are given together, so that unknown ones differ."""
    names = list(names)
    own = [name for name in names if name not in STYLES]
    return {name: STYLES.get(name) or OWN_STYLES[own.index(name) % len(OWN_STYLES)] for name in names}
