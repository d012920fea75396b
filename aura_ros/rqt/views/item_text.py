# SPDX-License-Identifier: Apache-2.0
"""The texts about items: the columns of their list, the hover texts, and what is known about the last write."""

import numpy as np
from numpy.typing import NDArray

from aura_ros.rqt.items import Item
from aura_ros.rqt.views import units
from aura_ros.rqt.views.panel import Window
from aura_ros.rqt.views.words import tip

AT_MOST = '\N{LESS-THAN OR EQUAL TO}'
PANEL = tip(
    'Each of the 32 rows of W is a place for one item. Each line shows one item, the newest write first. The squares '
    'above the lines are all places, from row 0 to row 31: full for an item, pale for one that is fading, and empty '
    'for a free place. Click an item to show the moment of its last write.',
    'item',
    'W',
    'write',
)
COLUMNS = {
    'seen': tip('What the first camera saw at the last write of the item, if the monitor received the image.'),
    'place': tip('The row of W that holds the item, and its place in the order of the last writes.', 'W'),
    'last write': tip(
        'The time of the last write of the item, before the present or on the ROS clock, and its step. The monitor may '
        f'have started after a write: "{AT_MOST} step 40" is a write at step 40 or before.',
        'write',
        'step',
    ),
    'strength': tip(
        'The length of the key, from 0 to 1. It is 1 after the first write of an item. It becomes less when a write to '
        'another row takes over what this row holds. Below 0.75 the item is fading: a new item takes its place first. '
        'Below 0.2 the place becomes free.',
        'item',
    ),
    'value': tip(
        f'The 16 numbers that are stored for the key, from {units.MINUS}1 (blue) to +1 (orange). Items with similar '
        'colours hold similar values. A fading item has pale colours.',
        'item',
    ),
}
"""Hover text of each column."""


def ordinal(rank: int) -> str:
    """Return a place in the order of the writes: 'newest', '2nd', '3rd', '4th'..."""
    if rank == 1:
        return 'newest'
    ending = 'th' if 10 < rank % 100 < 14 else {1: 'st', 2: 'nd', 3: 'rd'}.get(rank % 10, 'th')
    return f'{rank}{ending}'


def when(item: Item, window: Window) -> str:
    """Return the time of the last write, or its age in steps if its time is unknown."""
    if np.isfinite(item.write.stamp_s):
        return window.when(item.write.stamp_s)
    return f'{units.MINUS}{item.age_steps:,} steps' if item.age_steps >= 0 else units.NOTHING


def which_step(item: Item) -> str:
    """Return the step of the last write, as far as it is known."""
    if item.write.seq < 0 or item.age_steps < 0:
        return 'other episode'
    return f'{"" if item.write.exact else f"{AT_MOST} "}step {item.write.seq:,}'


def describe(item: Item, window: Window) -> str:
    """Return all about an item, with units."""
    write = item.write
    if item.age_steps < 0:
        written = 'last written before this episode'
    elif write.exact:
        written = f'last written at step {write.seq:,}, {item.age_steps:,} steps ago'
    else:
        written = f'last written at step {write.seq:,} or before: the monitor did not see it'
    if np.isfinite(write.stamp_s):
        written += f'\nobservation at {units.moment(write.stamp_s)}'
        written += f', {window.since(write.stamp_s)}' if window.live else ''
    state = 'fading: a new item takes this place first' if item.fading else 'whole'
    numbers = '\n'.join(f'{name} {_numbers(part)}' for name, part in (('key', item.key), ('value', item.value)))
    place = f'row {item.row}, {ordinal(item.rank)} in the order of the last writes'
    return f'{place}\n{written}\nstrength {item.strength:.3f}: {state}\n{numbers}'


def _numbers(values: NDArray[np.float32]) -> str:
    return ' '.join(f'{value:+.2f}' for value in values)
