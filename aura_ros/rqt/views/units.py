# SPDX-License-Identifier: Apache-2.0
"""Numbers as readable text, with their units."""

import math
import time

NOTHING = '\N{EN DASH}'
MINUS = '\N{MINUS SIGN}'
# Earlier times are those of a simulation, whose clock begins at 0 [s].
_UTC_S = 1e8
_SIZES = ((1e12, 'TB'), (1e9, 'GB'), (1e6, 'MB'), (1e5, 'KB'))


def size(count: float) -> str:
    """Return a number of bytes: exact up to 99,999 B, else with three digits."""
    if not math.isfinite(count):
        return NOTHING
    for unit, name in _SIZES:
        if count >= unit:
            scale = 1e3 if name == 'KB' else unit
            return f'{_digits(count / scale)} {name}'
    return f'{count:,.0f} B'


def _digits(value: float) -> str:
    """Return a number with about three digits."""
    return f'{value:.0f}' if value >= 100 else f'{value:.1f}' if value >= 10 else f'{value:.2f}'


def duration(seconds: float) -> str:
    """Return a duration: '0.4 s', '12 s', '3 min 05 s' or '2 h 10 min'."""
    if not math.isfinite(seconds):
        return NOTHING
    if seconds < 10.0:
        return f'{seconds:.1f} s'
    if seconds < 99.5:
        return f'{seconds:.0f} s'
    whole = round(seconds)
    if whole < 3600:
        return f'{whole // 60} min' + (f' {whole % 60:02d} s' if whole % 60 else '')
    return f'{whole // 3600} h {whole % 3600 // 60:02d} min'


def ago(seconds: float) -> str:
    """Return how long ago a moment was, in short form: '−11 s', '−1:40' or '−1 h 02'."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f'{MINUS}{whole} s'
    if whole < 3600:
        return f'{MINUS}{whole // 60}:{whole % 60:02d}'
    return f'{MINUS}{whole // 3600} h {whole % 3600 // 60:02d}'


def years(value: float) -> str:
    """Return the life of a storage, given in years."""
    if not math.isfinite(value):
        return NOTHING
    if value > 1000.0:
        return '> 1,000 years'
    return f'{_digits(value)} years' if value >= 1.0 else f'{_digits(value * 365.25)} days'


def milliseconds(value: float) -> str:
    """Return a short time, given in milliseconds, with a suitable unit."""
    if not math.isfinite(value):
        return NOTHING
    return f'{value * 1e3:.0f} µs' if value < 0.1 else f'{_digits(value)} ms'


def moment(stamp_s: float) -> str:
    """Return a time on the ROS clock: UTC time of day, or seconds if the clock is that of a simulation."""
    if stamp_s < _UTC_S:
        return f'{stamp_s:.2f} s'
    return time.strftime('%H:%M:%S', time.gmtime(stamp_s)) + f'.{int(stamp_s % 1 * 10)} UTC'


def clock(stamp_s: float) -> str:
    """Return a time on the ROS clock in whole seconds, without the name of the clock."""
    if stamp_s < _UTC_S:
        return f'{stamp_s:.0f} s'
    return time.strftime('%H:%M:%S', time.gmtime(stamp_s))


def short_id(name: str) -> str:
    """Return the first digits of a UUID; a short name is returned unchanged."""
    return name if len(name) <= 12 else name[:8] + '…'
