# SPDX-License-Identifier: Apache-2.0
"""The recent durations of the stages that the data pass, up to a moment. No Qt, no ROS."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.rqt.history import History
from aura_ros.rqt.points import AURA, KV
from aura_ros.rqt.view_data import Latency, Stage

# Samples of a quantile.
_SAMPLES = 300


def latency(history: History, misses: Mapping[str, int], end_s: float) -> Latency:
    """Return the durations of the stages up to `end_s` [s, ROS clock], and the counts `misses` of what was late."""
    steps, aura, kv = (
        ring.rows(end=end_s)[-_SAMPLES:] for ring in (history.steps, history.gates[AURA], history.gates[KV])
    )
    stages = (
        _stage('backbone', steps['inference_ms'], 'inference of the backbone, as reported by vla_node'),
        _stage('image to step', steps['delay_s'] * 1e3, 'from the image to its step here, on the ROS clock'),
        _stage('AURA step', aura['step_us'] * 1e-3, 'gate, write and read of AURA-Mem'),
        _stage('KV step', kv['step_us'] * 1e-3, 'append and attention of the KV-cache'),
        _stage('image to AURA', aura['delay_s'] * 1e3, 'from the image to its gate score here, on the ROS clock'),
    )
    return Latency(tuple(stage for stage in stages if stage.samples), misses)


def _stage(name: str, values: NDArray[Any], tooltip: str) -> Stage:
    values = np.sort(values[np.isfinite(values)])
    if not len(values):
        return Stage(name, math.nan, math.nan, 0, tooltip)
    p50, p95 = (float(values[round(share * (len(values) - 1))]) for share in (0.5, 0.95))
    return Stage(name, p50, p95, len(values), tooltip)
