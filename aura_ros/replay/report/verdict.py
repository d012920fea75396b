# SPDX-License-Identifier: Apache-2.0
"""The verdict: which policy follows the recorded actions best, in a few sentences."""

import math
from collections.abc import Sequence

from aura_ros.replay.policies import CONTROL
from aura_ros.replay.report.intervals import Interval
from aura_ros.replay.report.summary import Gain, ReplayRow, Summary

_IDENTICAL = 1e-5
"""Error below which actions equal the recorded actions up to rounding [rad, m]."""


def verdict(summary: Summary) -> str:
    """Return which policy follows the recorded actions best, and how certain that is."""
    if not summary.best:
        return (
            'The recording has no recorded actions to compare with. '
            'This report shows when each memory wrote and what it costs, not how well it acts.'
        )
    if len(summary.policies) == 1:
        return f'Only base took part. Its action error is {error_text(summary.policies[0].error)}.'
    if driven := drivers_text(summary):
        return (
            f'{driven} drove during the recording. A low error of a policy that drove is no evidence, because it is '
            'compared with its own actions. This report shows when each memory wrote and what it costs.'
        )
    best, base = summary.policy(summary.best), summary.policy('base')
    tied = [name for name in summary.not_apart if name != 'base']
    also = f' Not significantly different from it: {_list(tied)}.' if tied else ''
    if best is base:
        return (
            'No memory follows the recorded actions better than base, the frozen VLA alone, '
            f'with an error of {error_text(best.error)}.{also}'
        )
    percent = 100.0 * (1.0 - best.error.mean / base.error.mean) if base.error.mean else 0.0
    error = f'its error is {error_text(best.error)}, {percent:.0f} % below base'
    if not best.state_bytes:
        sentence = (
            f'No memory follows the recorded actions better than {best.name}, an action head without one: {error}.'
        )
    elif not best.writes:
        sentence = f'{best.name} is nearest to the recorded actions, but its memory never wrote: {error}.'
    else:
        sentence = f'{best.name} follows the recorded actions best: {error}.'
    if not best.difference.apart_from_zero:
        sentence += ' On this recording the difference to base is not significant.'
    return sentence + also + _gated_text(summary, best)


def gain_texts(summary: Summary) -> list[str]:
    """Return what part of each gain over base is memory, in sentences; none if a policy that drove is compared."""
    if drivers_text(summary):
        return []
    known = {gain.name for gain in summary.gains}
    silent = [row for row in summary.policies if row.memory_hash and not row.writes and row.state_bytes]
    return [
        *(gain_text(gain) for gain in summary.gains),
        *(
            f'{row.name} never wrote on these steps: its memory has no part in its error.'
            for row in silent
            if row.name not in known
        ),
    ]


def gain_text(gain: Gain, unit: str = ' rad') -> str:
    """Return what part of a gain over base is memory, and what part is the action head without one."""
    total = f'{gain.name} gains {error_text(gain.total, "+", unit)} over base'
    if not gain.writes:
        return f'{total}. It never wrote, so none of this gain is memory.'
    memory = '' if math.isnan(gain.memory.low) or gain.memory.apart_from_zero else ', which is not significant'
    return (
        f'{total}: {error_text(gain.head, "+", unit)} is its action head without a memory ({CONTROL}), and '
        f'{error_text(gain.memory, "+", unit)} is its memory{memory}.'
    )


def drivers_text(summary: Summary) -> str:
    """Return which policies drove during the recording, if that makes their errors useless; else ''.

    A policy whose actions equal the recorded actions is taken for a driver, unless the drivers were recorded.
    """
    if summary.drivers:
        return _list([f'{name} ({100 * share:.0f} % of the steps)' for name, share in summary.drivers.items()])
    same = [row.name for row in summary.policies if row.error.mean < _IDENTICAL]
    return _list(same) if summary.scored and same else ''


def _gated_text(summary: Summary, best: ReplayRow) -> str:
    """Compare the gated policy with the best one; '' if it is the best itself."""
    gated = summary.gated
    if gated is None or gated is best:
        return ''
    percent = 100.0 * (gated.error.mean / best.error.mean - 1.0) if best.error.mean else 0.0
    return (
        f' The gated memory, {gated.name}, has an error of {error_text(gated.error)}, {percent:.0f} % higher, '
        f'with {gated.writes:,} writes instead of {best.writes:,}.'
    )


def error_text(found: Interval, sign: str = '', unit: str = ' rad') -> str:
    """Return an error with its interval, '0.0123 rad [0.0101, 0.0150]'; '-' without data."""
    if math.isnan(found.mean):
        return '-'
    return f'{found.mean:{sign}.4f}{unit} {ends_text(found)}'.rstrip()


def ends_text(found: Interval) -> str:
    """Return the ends of an interval, '[0.0101, 0.0150]'; '' if it has none."""
    return '' if math.isnan(found.low) else f'[{found.low:.4f}, {found.high:.4f}]'


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ', '.join(names[:-1]) + ' and ' + names[-1]
