# SPDX-License-Identifier: Apache-2.0
"""Evaluates one memory on perturbed streams."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from aura_ros.bench.endurance_weights import load_trained
from aura_ros.bench.perturbation import Perturbation, perturb
from aura_ros.bench.streams import StreamSetting, draw, generator
from aura_ros.bench.synthetic_training import Budget, Task, evaluate

SPLIT = 'robustness'
"""Split of the random numbers of the changes; the streams are those of 'evaluation'."""


@dataclass(frozen=True)
class Evaluation:
    """One memory on the streams of one seed."""

    memory: str
    """A memory of the synthetic benchmark."""
    weights: Path
    """Its trained weights."""
    setting: StreamSetting
    """How the streams are drawn."""
    seed: int
    """Seed of streams and changes."""
    tests: int
    """Number of streams."""


def run_evaluation(evaluation: Evaluation, changes: Mapping[tuple[str, float], Perturbation]) -> dict[str, Any]:
    """Return the row of a memory. A job function.

    Args:
        evaluation: memory and streams.
        changes: the changes of the streams by kind and level.

    Returns:
        a row with `points`: accuracy, writes and shares of each change.
    """
    torch.set_num_threads(1)
    module = load_trained(evaluation.memory, evaluation.weights)
    task = Task(evaluation.memory, evaluation.setting, Budget(), 0.0, evaluation.seed)
    streams = draw(
        evaluation.setting, evaluation.tests, evaluation.setting.length, generator('evaluation', evaluation.seed)
    )
    found: dict[Perturbation, dict[str, Any]] = {}
    for perturbation in dict.fromkeys(changes.values()):  # one level of each kind changes nothing
        torch.manual_seed(evaluation.seed)  # of random writes
        z = perturb(streams.z, evaluation.setting, perturbation, generator(SPLIT, evaluation.seed))
        found[perturbation] = evaluate(module, task, replace(streams, z=z))
    points = [{'change': kind, 'level': level, **found[change]} for (kind, level), change in changes.items()]
    return {
        'memory': evaluation.memory,
        'seed': evaluation.seed,
        'parameters': module.parameter_count,
        'points': points,
    }
