# SPDX-License-Identifier: Apache-2.0
"""Colours and sizes, light and dark. The hues are those of Okabe and Ito, which colour-blind people can distinguish.

The colours of the policies are those of every picture of this package (common/policy_styles.py). The colour of the text
marks a write, and green marks a good state. Vermilion marks faults only, so that a calm picture means a healthy robot.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.policy_styles import STYLES

SMALL_PX, BODY_PX, LARGE_PX = 11, 12, 15
# Width of the left axes: plots above each other share their time axis [px].
AXIS_PX = 46


@dataclass(frozen=True)
class Theme:
    """Colours as #rrggbb."""

    dark: bool
    window: str
    """Background of the window."""
    panel: str
    """Background of a panel, and zero of a heat map."""
    text: str
    """Text, and marks of writes."""
    muted: str
    """Captions and axes."""
    line: str
    """Grids and borders."""
    aura: str
    kv: str
    base: str
    good: str
    """A good state."""
    alarm: str
    """A fault."""
    low: str
    """Most negative end of the heat map."""
    high: str
    """Most positive end of the heat map."""

    def policy(self, name: str) -> str:
        """Return the colour of a policy; that of captions for an unknown one."""
        return {'aura': self.aura, 'kv': self.kv, 'base': self.base}.get(name, self.muted)


LIGHT = Theme(
    dark=False,
    window='#eceef1',
    panel='#ffffff',
    text='#1a1d21',
    muted='#5c6570',
    line='#d5d9df',
    aura=STYLES['aura'].light,
    kv=STYLES['kv'].light,
    base=STYLES['base'].light,
    good='#00775a',
    alarm='#b34500',
    low='#0a4d8c',
    high='#b34700',
)
DARK = Theme(
    dark=True,
    window='#101318',
    panel='#191d24',
    text='#eef0f3',
    muted='#9aa4b1',
    line='#313843',
    aura=STYLES['aura'].dark,
    kv=STYLES['kv'].dark,
    base=STYLES['base'].dark,
    good='#2fc79b',
    alarm='#ff7a33',
    low='#6fc3ff',
    high='#ff9a4d',
)


def rgb(colour: str) -> NDArray[np.float64]:
    """Return red, green and blue of '#rrggbb' [0..255]."""
    return np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)], float)


def ramp(*colours: str, steps: int = 256) -> NDArray[np.uint8]:
    """Return a lookup table uint8 [steps, 3] with the colours at equal distances."""
    places = np.linspace(0.0, 1.0, len(colours))
    at = np.linspace(0.0, 1.0, steps)
    ends = np.array([rgb(colour) for colour in colours])
    table = np.stack([np.interp(at, places, ends[:, channel]) for channel in range(3)], axis=1)
    return table.round().astype(np.uint8)


def diverging(theme: Theme) -> NDArray[np.uint8]:
    """Return the colour table of the heat map; its middle is the panel, so that zero is invisible."""
    return ramp(theme.low, theme.panel, theme.high, steps=255)


def sequential(theme: Theme) -> NDArray[np.uint8]:
    """Return the colour table of amounts: from the panel to AURA's colour, with a contrast that never decreases."""
    return ramp(theme.panel, theme.aura, '#ffffff' if theme.dark else '#002a4d')


def style_sheet(theme: Theme) -> str:
    """Return the style sheet of the monitor's widgets; it leaves other widgets of rqt alone."""
    return f"""
    #monitor {{ background: {theme.window}; }}
    #monitor QScrollArea, #cards, #items {{ background: {theme.panel}; border: none; }}
    #monitor QLabel {{ color: {theme.text}; font-size: {BODY_PX}px; background: transparent; }}
    #monitor QLabel[role="caption"] {{ color: {theme.muted}; font-size: {SMALL_PX}px; }}
    #monitor QLabel[role="title"] {{ color: {theme.text}; font-size: {BODY_PX}px; font-weight: 600; }}
    #monitor QLabel[role="code"] {{ color: {theme.text}; font-family: monospace; font-size: {LARGE_PX}px; }}
    #monitor QLabel[role="large"] {{ color: {theme.text}; font-size: {LARGE_PX}px; font-weight: 600; }}
    #monitor QFrame[role="panel"] {{ background: {theme.panel}; border: 1px solid {theme.line}; border-radius: 4px; }}
    #monitor QFrame[dimmed="true"] {{ background: {theme.window}; }}
    #monitor QFrame[role="panel"][chosen="true"] {{ border: 2px solid {theme.aura}; }}
    #monitor QPushButton, #monitor QComboBox {{
        color: {theme.text}; background: {theme.panel}; border: 1px solid {theme.line}; border-radius: 4px;
        padding: 2px 9px; font-size: {BODY_PX}px; min-height: 18px; }}
    #monitor QPushButton:hover, #monitor QComboBox:hover {{ border-color: {theme.muted}; }}
    #monitor QPushButton:checked {{ background: {theme.aura}; color: {theme.panel}; border-color: {theme.aura}; }}
    #monitor QPushButton:disabled {{ color: {theme.muted}; background: {theme.window}; }}
    #monitor QPushButton:checked:disabled {{ color: {theme.panel}; background: {theme.muted}; }}
    #monitor QComboBox::drop-down {{ border: none; width: 14px; }}
    #monitor QComboBox QAbstractItemView {{ color: {theme.text}; background: {theme.panel}; }}
    #monitor QPushButton:focus, #monitor QComboBox:focus {{ border: 2px solid {theme.text}; padding: 1px 8px; }}
    #monitor QFrame[role="panel"]:focus {{ border: 2px solid {theme.text}; }}
    #monitor QSlider {{ min-height: 18px; border: 2px solid transparent; }}
    #monitor QSlider:focus {{ border: 2px solid {theme.text}; border-radius: 4px; }}
    #monitor QSlider::groove:horizontal {{ background: {theme.line}; height: 4px; border-radius: 2px; }}
    #monitor QSlider::sub-page:horizontal {{ background: {theme.aura}; height: 4px; border-radius: 2px; }}
    #monitor QSlider::handle:horizontal {{
        background: {theme.text}; width: 10px; margin: -5px 0; border-radius: 5px; }}
    #monitor QScrollBar:horizontal {{ background: {theme.panel}; height: 7px; }}
    #monitor QScrollBar::handle:horizontal {{ background: {theme.line}; border-radius: 3px; min-width: 30px; }}
    #monitor QScrollBar:vertical {{ background: {theme.panel}; width: 7px; }}
    #monitor QScrollBar::handle:vertical {{ background: {theme.line}; border-radius: 3px; min-height: 30px; }}
    #monitor QScrollBar::add-line, #monitor QScrollBar::sub-line {{ width: 0; height: 0; }}
    QToolTip {{ color: {theme.text}; background: {theme.panel}; border: 1px solid {theme.muted}; }}
    """
