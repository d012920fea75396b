# SPDX-License-Identifier: Apache-2.0
"""Closed-loop success of trained weights on validation seeds, without ROS."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from aura_ros.common.names import PANEL_TASKS
from aura_ros.common.stats import wilson_interval
from aura_ros.memory import Memory, NoMemory, load_memory
from aura_ros.memory.weights import default_path
from aura_ros.sim.appearance import Appearance
from aura_ros.sim.world import World
from aura_ros.train.rollout import Outcome, run_episode
from aura_ros.vla import load_backbone
from aura_ros.vla.protocol import Backbone

SEED = 1000


def check(
    folder: Path | None, tasks: Sequence[str], rounds: int, appearance: Appearance | None = None
) -> Iterator[str]:
    """Run every policy on every task, and yield a line of text for each of them.

    The base runs on all tasks. The memories run on those that a memory is trained on. A memory without weights in the
    folder is left out.

    Args:
        folder: folder of backbone and memories; None uses the weights of the package.
        tasks: names of tasks.
        rounds: rounds per task and policy.
        appearance: how the cameras see the scene; None means as in the demonstrations.
    """
    backbone = load_backbone('embedded', str(folder / 'embedded.onnx') if folder else None)
    memories = _memories(folder, backbone)
    with World(appearance) as world:
        for task in tasks:
            for name, memory in memories.items():
                if name == 'base' or task in PANEL_TASKS:
                    yield _line(task, name, run_episode(task, 'validation', SEED, rounds, backbone, memory, world))


def _memories(folder: Path | None, backbone: Backbone) -> dict[str, Memory]:
    spec = backbone.spec
    found: dict[str, Memory] = {'base': NoMemory(spec.feature_dim, (spec.chunk_size, spec.action_dim))}
    for kind in ('aura', 'kv'):
        path = folder / f'{kind}.safetensors' if folder else default_path(kind)
        if path.is_file():
            found[kind] = load_memory(kind, str(path))
    return found


def _line(task: str, name: str, outcome: Outcome) -> str:
    won, count = sum(outcome.successes), len(outcome.successes)
    low, high = wilson_interval(won, count)
    return (
        f'{task:16s} {name:5s} {won}/{count} [{low:.2f}, {high:.2f}] '
        f'{outcome.writes_per_round:.1f} writes per round, {outcome.state_bytes} bytes'
    )
