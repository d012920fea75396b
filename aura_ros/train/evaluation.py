# SPDX-License-Identifier: Apache-2.0
"""The action error of a memory: the loss of its training, and its figures on held-out episodes."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from aura_ros.common.names import EventKind
from aura_ros.train.modules import MemoryModule
from aura_ros.train.sequences import Batch, Stream, collate
from aura_ros.train.teacher import CUE_STEPS


def action_errors(actions: Tensor, batch: Batch, scale: Tensor) -> Tensor:
    """Return the weighted mean absolute error of each chunk, [N], in units of the usual offset of each joint.

    Args:
        actions: chunks of the N steps with a weight, [N, C, A] [rad, m].
        batch: the sequences.
        scale: usual offset of each joint, [A] [rad, m].
    """
    asked = batch.weight > 0
    return ((actions - batch.expert[asked]).abs() / scale).mean((-1, -2)) * batch.weight[asked]


@torch.no_grad()
def evaluate(model: MemoryModule, streams: list[Stream]) -> dict[str, Any]:
    """Evaluate a memory on whole held-out episodes: action error with the go sign, writes per round, gate by event."""
    report: dict[str, Any] = {}
    for task in sorted({stream.task for stream in streams}):
        errors: list[float] = []
        baseline: list[float] = []
        writes, rounds = 0.0, 0
        fired: dict[str, list[float]] = {}
        for stream in (stream for stream in streams if stream.task == task):
            batch = collate([(stream, np.arange(len(stream.z)))], 0.0)
            rollout = model(batch.z, batch.base)
            for out, actions in ((errors, rollout.actions), (baseline, batch.base)):
                wrong = action_errors(actions[batch.weight > 0], batch, model.action_scale)
                out.append(float(wrong.sum() / batch.weight.sum()))
            writes += float(rollout.scan.written[:, stream.context :].sum())
            rounds += len(set(stream.round[stream.context :].tolist()))
            for kind in (EventKind.CUE, EventKind.CUE_REPEAT, EventKind.PART, EventKind.DISTRACTOR):
                times = np.flatnonzero(stream.event == kind)
                gates = rollout.scan.written[0].numpy()
                fired.setdefault(kind.name.lower(), []).extend(float(gates[t : t + CUE_STEPS].max()) for t in times)
        report[task] = {
            'action_error': float(np.mean(errors)),
            'base_action_error': float(np.mean(baseline)),
            'action_errors': errors,
            'base_action_errors': baseline,
            'writes_per_round': writes / rounds,
            'fire_rate': {name: float(np.mean(values)) for name, values in fired.items() if values},
        }
    return report
