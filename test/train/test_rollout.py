# SPDX-License-Identifier: Apache-2.0
"""The shipped weights in the loop, without ROS, on validation seeds: the direction of the result, not its size."""

import pytest

pytest.importorskip('mujoco')

from aura_ros.memory import load_memory
from aura_ros.sim import EventKind
from aura_ros.sim.world import World
from aura_ros.train.rollout import run_episode
from aura_ros.vla import load_backbone

ROUNDS = 10


@pytest.fixture(scope='module')
def play():
    """Run ten rounds of a task with a memory."""
    backbone = load_backbone()
    with World() as world:
        yield lambda task, kind: run_episode(task, 'validation', 2000, ROUNDS, backbone, load_memory(kind), world)


def test_the_base_needs_no_memory_where_none_is_needed(play):
    assert sum(play('visible', 'none').successes) >= 8


def test_the_memory_recalls_with_few_writes(play):
    without, aura = play('recall', 'none'), play('recall', 'aura')
    assert sum(aura.successes) >= 8
    assert sum(without.successes) <= 7
    assert aura.state_bytes == 4224
    assert 0 < len(aura.written) <= 3 * ROUNDS
    assert len(aura.gates) > 20 * len(aura.written)


def test_writes_fall_on_cues_and_on_touches(play):
    aura = play('recall', 'aura')
    cues = [event.time for event in aura.events if event.kind in (EventKind.CUE, EventKind.CUE_REPEAT)]
    ends = [event.time for event in aura.events if event.kind in (EventKind.ROUND_SUCCESS, EventKind.ROUND_FAILURE)]
    fitting = [
        any(cue <= time <= cue + 1 for cue in cues) or any(abs(time - end) <= 1 for end in ends)
        for time in aura.written
    ]
    assert sum(fitting) >= 0.8 * len(aura.written)
    assert sum(any(cue <= time <= cue + 1 for time in aura.written) for cue in cues) >= 0.5 * len(cues)


def test_the_cache_recalls_and_grows(play):
    cache = play('recall', 'kv')
    assert sum(cache.successes) >= 7
    assert cache.state_bytes == 256 * len(cache.gates)
