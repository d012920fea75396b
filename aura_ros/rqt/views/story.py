# SPDX-License-Identifier: Apache-2.0
"""The summary line of the header: what the memory did up to the moment that the page shows, as one sentence or two."""

import numpy as np

from aura_ros.rqt.points import WritePoint
from aura_ros.rqt.reasons import Reason
from aura_ros.rqt.view_data import Cost, GateSeries
from aura_ros.rqt.views import units
from aura_ros.rqt.views.panel import Window


def summarize(gate: GateSeries, last: tuple[WritePoint, Reason] | None, cost: Cost, window: Window) -> str:
    """Return the summary.

    Args:
        gate: steps that the monitor received.
        last: last write up to the moment that is shown and its reason, None before the first.
        cost: cost at that moment.
        window: window of the curves, which names the moment.
    """
    steps = int(np.searchsorted(gate.t, window.shown_s, side='right'))
    if not steps:
        return 'Waiting for the first step.' if not len(gate.t) else 'No step of that time was received.'
    wrote = int(np.count_nonzero(gate.written[:steps]))
    seen = units.duration(max(0.0, window.shown_s - float(gate.t[0])))
    text = f'In the {seen} that were seen, {wrote:,} of {steps:,} steps wrote ({wrote / steps:.1%}).'
    if last is not None:
        write, reason = last
        text += f' Last write {window.since(write.stamp_s)} at step {write.seq:,}: {reason}.'
    if len(cost.aura_bytes):
        text += f' State: {units.size(int(cost.aura_bytes[-1]))}.'
        if len(cost.kv_bytes):
            text += f' KV-cache: {units.size(int(cost.kv_bytes[-1]))}.'
    return text
