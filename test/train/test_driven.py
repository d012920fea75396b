# SPDX-License-Identifier: Apache-2.0
"""Episodes that a trained memory drives: its own motion, with the actions of the expert."""

import numpy as np
import pytest

pytest.importorskip('mujoco')

from aura_ros.memory.weights import default_path
from aura_ros.sim.world import World
from aura_ros.train.demonstrations import Collection, Weights, collect, collect_episode
from aura_ros.train.main import main
from aura_ros.train.sequences import load_streams
from aura_ros.vla.embedded import EmbeddedVla

TASK, SEED = 'recall', 1000


@pytest.fixture(scope='module')
def driven(tmp_path_factory):
    """Collect one episode of one round."""
    work_dir = tmp_path_factory.mktemp('train')
    weights = Weights('aura', default_path('aura'))
    folder = collect(Collection(TASK, 'train', 1, 1, 4, first_seed=SEED, weights=weights), work_dir, 1)
    with np.load(folder / f'{SEED:05d}.npz') as arrays:
        return work_dir, folder, dict(arrays)


def test_the_folder_names_the_weights(driven):
    _, folder, _ = driven
    assert folder.name == f'train-{TASK}-driven-aura-{Weights("aura", default_path("aura")).hash[:12]}'


def test_the_memory_drives_and_the_expert_gives_the_actions(driven):
    _, _, arrays = driven
    with World() as world:
        shown = collect_episode(Collection(TASK, 'train', 1, 1, 4), SEED, world)
    assert set(arrays) == set(shown)
    np.testing.assert_array_equal(arrays['scene'][0], shown['scene'][0], 'the same round')
    np.testing.assert_allclose(arrays['actions'][0], shown['actions'][0], atol=1e-6)
    count = min(len(arrays['joints']), len(shown['joints']))
    assert not np.allclose(arrays['joints'][:count], shown['joints'][:count], atol=1e-3)


def test_a_memory_learns_from_the_episodes_that_its_kind_has_driven(driven):
    work_dir, _, _ = driven
    vla = EmbeddedVla(None)
    collect(Collection(TASK, 'train', 1, 1, 4), work_dir, 1)
    (work_dir / 'demonstrations' / f'train-{TASK}-driven-kv-0123').mkdir()  # a collection that has just begun
    shown, by_aura, by_kv = (load_streams(vla, work_dir, 'train', TASK, kind) for kind in (None, 'aura', 'kv'))
    assert (len(shown), len(by_aura), len(by_kv)) == (1, 2, 1)
    assert by_aura[0].z.shape[1:] == by_aura[1].z.shape[1:]


def test_a_task_that_is_not_driven_is_refused(capsys):
    assert main(['driven', '--tasks', 'many']) == 2
    assert "--tasks: the stage driven has no task 'many'; choose from recall, sequence, both" in capsys.readouterr().err
