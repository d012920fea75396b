# SPDX-License-Identifier: Apache-2.0
"""What the page needs to be explored: the library uPlot, the values of each step as numbers, and the camera frames.

uPlot is read from the installed package `uplot-python`, of the extra `explore`, when the report is made. The package is
not imported, because another distribution has a module of the same name, and because its own module needs IPython.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from aura_ros.common.policy_styles import styles_of
from aura_ros.replay.evaluate import PolicyRun
from aura_ros.replay.evaluated import Evaluated
from aura_ros.replay.report.styles import SHAPES, classes_of
from aura_ros.replay.report.traces import smoothed_error

VALUES_BYTES = 6_000_000
"""Most bytes of the values of all steps in one page, before base64. More steps are thinned."""


@dataclass(frozen=True)
class Library:
    """The files of uPlot."""

    script: Markup
    style: Markup


def library() -> Library | None:
    """Return uPlot from the installed package `uplot-python`; None if it is not installed."""
    try:
        found = distribution('uplot-python')
    except PackageNotFoundError:
        return None
    script, style = (
        Path(str(found.locate_file(f'uplot/static/{name}'))) for name in ('uPlot.iife.js', 'uPlot.min.css')
    )
    if not script.is_file() or not style.is_file():
        return None
    text = script.read_text(encoding='utf-8').replace('</script', '<\\/script')
    return Library(Markup(text), Markup(style.read_text(encoding='utf-8')))


def values(found: Evaluated, smoothed: int, checked: Sequence[str], most_bytes: int) -> dict[str, Any]:
    """Return what the script needs of a recording, as JSON types.

    Args:
        found: recording.
        smoothed: steps over which errors are smoothed.
        checked: policies whose lines are visible at first.
        most_bytes: most bytes of the values. A longer recording is thinned, but keeps the writes of gated policies.
    """
    steps, runs = found.steps, found.runs
    rows = shown_steps(found, most_bytes)
    frames = {int(np.searchsorted(rows, row)): picture for row, picture in sorted(steps.thumbnails.items())}
    return {
        'times': _packed(steps.times_s[rows], np.float64),
        'seqs': _packed(steps.seqs[rows], np.int32),
        'begins': np.flatnonzero(np.diff(steps.segments[rows], prepend=-1)).tolist(),
        'joints': list(steps.info.joint_names),
        'recorded': [_packed(column, np.float32) for column in steps.recorded[rows].T],
        'policies': [_policy(name, runs, rows, smoothed, name in checked) for name in runs],
        'frames': {place: base64.b64encode(picture).decode('ascii') for place, picture in frames.items()},
    }


def shown_steps(found: Evaluated, most_bytes: int) -> NDArray[np.int64]:
    """Return the rows of the steps that fit: all, or every n-th and those at which a gated policy wrote."""
    count, joints = len(found.steps), len(found.steps.info.joint_names)
    step_bytes = 12 + 4 * joints + len(found.runs) * (16 + 4 * joints)
    every = -(-count * step_bytes // most_bytes)
    written = [write.row for run in found.runs.values() for write in run.writes] if every > 1 else []
    return np.unique(np.concatenate([np.arange(0, count, every), np.asarray(written, np.int64), [count - 1]]))


def _policy(
    name: str, runs: Mapping[str, PolicyRun], rows: NDArray[np.int64], smoothed: int, checked: bool
) -> dict[str, Any]:
    run, style = runs[name], styles_of(runs)[name]
    written = np.minimum(np.searchsorted(rows, np.flatnonzero(run.written)), len(rows) - 1)
    return {
        'name': name,
        'class': classes_of(list(runs))[name],
        'colours': [style.light, style.dark],
        'dash': style.dash,
        'shape': SHAPES[style.marker],
        'checked': checked,
        'gate': _packed(run.gate[rows], np.float32) if run.policy.gated else None,
        'threshold': float(np.nanmax(run.threshold)) if run.policy.gated and run.applied else None,
        'writes': _packed(np.unique(written), np.int32),
        'state': _packed(run.state_bytes[rows], np.float64),
        'error': _packed(smoothed_error(run, smoothed)[rows], np.float32),
        'actions': [_packed(column, np.float32) for column in run.actions[rows].T],
    }


def _packed(values: ArrayLike, kind: type) -> str:
    """Return numbers as base64 of their bytes, little-endian, which is a fourth of their digits."""
    return base64.b64encode(np.asarray(values, np.dtype(kind).newbyteorder('<')).tobytes()).decode('ascii')
