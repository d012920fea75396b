# SPDX-License-Identifier: Apache-2.0
"""Closed-loop success of trained weights on validation seeds, without ROS."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from aura_ros.common.names import PANEL_TASKS, POLICIES
from aura_ros.common.stats import wilson_interval
from aura_ros.memory import Memory, NoMemory, load_memory
from aura_ros.memory.weights import default_path
from aura_ros.sim.appearance import Appearance
from aura_ros.sim.world import World
from aura_ros.train.rollout import Outcome, run_episode
from aura_ros.vla import load_backbone
from aura_ros.vla.protocol import Backbone

SEED = 1000
HUNDRED = 100
"""Rounds of a line of a mixed episode."""


def check(
    folder: Path | None,
    tasks: Sequence[str],
    rounds: int,
    appearance: Appearance | None = None,
    policies: Sequence[str] = POLICIES,
    mixed: bool = False,
) -> Iterator[str]:
    """Run every policy on every task, and yield a line of text for each of them.

    The base runs on all tasks. The memories run on those that a memory is trained on. A memory without weights in the
    folder is left out.

    Args:
        folder: folder of backbone and memories; None uses the weights of the package.
        tasks: names of tasks.
        rounds: rounds per task and policy.
        appearance: how the cameras see the scene; None means as in the demonstrations.
        policies: names of policies to run.
        mixed: one episode, in which the task of each round is drawn, with a line for each hundred rounds.
    """
    backbone = load_backbone('embedded', str(folder / 'embedded.onnx') if folder else None)
    memories = {name: memory for name, memory in _memories(folder, backbone).items() if name in policies}
    with World(appearance) as world:
        for task in [','.join(tasks)] if mixed else tasks:
            for name, memory in memories.items():
                if name == 'base' or set(task.split(',')) <= set(PANEL_TASKS):
                    outcome = run_episode(task, 'validation', SEED, rounds, backbone, memory, world)
                    if mixed:
                        yield from _blocks(name, outcome.successes)
                    yield _line('mixed' if mixed else task, name, outcome)


def _memories(folder: Path | None, backbone: Backbone) -> dict[str, Memory]:
    spec = backbone.spec
    found: dict[str, Memory] = {'base': NoMemory(spec.feature_dim, (spec.chunk_size, spec.action_dim))}
    for kind in ('aura', 'kv'):
        path = folder / f'{kind}.safetensors' if folder else default_path(kind)
        if path.is_file():
            found[kind] = load_memory(kind, str(path))
    return found


def _blocks(name: str, successes: Sequence[bool]) -> Iterator[str]:
    for first in range(0, len(successes), HUNDRED):
        block = successes[first : first + HUNDRED]
        rounds = f'rounds {first + 1} to {first + len(block)}'
        yield f'{rounds:16s} {name:5s} {sum(block)}/{len(block)}'


def _line(task: str, name: str, outcome: Outcome) -> str:
    won, count = sum(outcome.successes), len(outcome.successes)
    low, high = wilson_interval(won, count)
    return (
        f'{task:16s} {name:5s} {won}/{count} [{low:.2f}, {high:.2f}] '
        f'{outcome.writes_per_round:.1f} writes per round, {outcome.state_bytes} bytes'
    )
