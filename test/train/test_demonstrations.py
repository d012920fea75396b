# SPDX-License-Identifier: Apache-2.0
"""Demonstrations of the tasks with several things to remember."""

import numpy as np
import pytest

pytest.importorskip('mujoco')

from aura_ros.common.names import EventKind
from aura_ros.sim.world import World
from aura_ros.train.demonstrations import CHUNK, SCENE_DIM, Collection, collect_episode


@pytest.mark.parametrize('task', ['sequence', 'both', 'many'])
def test_an_episode_has_the_cues_the_go_phase_and_the_lamps(task: str) -> None:
    with World() as world:
        arrays = collect_episode(Collection(task, 'validation', 1, 1, 4), 0, world)
    count = len(arrays['event'])
    assert arrays['actions'].shape == (count, CHUNK, 8) and arrays['scene'].shape == (count, SCENE_DIM)
    assert (arrays['event'] == EventKind.CUE).any() and (arrays['event'] == EventKind.GO).any()
    assert 0 < arrays['go'].sum() < count
    lamps = arrays['lamps']
    assert lamps.shape == (count, 3, 4) and lamps.dtype == np.float32
    assert (lamps.sum(-1) == 1).all()
    assert (lamps[..., 1:].sum() > 0) == (task == 'many'), 'the lamps shine only in their task'
    texts = arrays['texts'][arrays['instruction'][arrays['go']]]
    assert set(texts) <= set(arrays['texts']) and len(texts)
