# SPDX-License-Identifier: Apache-2.0
"""The embedded VLA: its contract, that it is frozen, and that it needs no memory where none is needed."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aura_ros.common.errors import ConfigError, InputError
from aura_ros.common.names import VLA_TASKS
from aura_ros.vla import ActionComponent, ActionSpec, Observation, StateSpec, load_backbone

WEIGHTS = Path(load_backbone.__code__.co_filename).parent / 'weights' / 'embedded.onnx'


@pytest.fixture(scope='module')
def vla():
    return load_backbone()


def observation(seed=0, **changes):
    rng = np.random.default_rng(seed)
    fields = {
        'images': {name: rng.integers(0, 256, (128, 128, 3), dtype=np.uint8) for name in ('front', 'wrist')},
        'joint_positions': rng.normal(size=8).astype(np.float32),
        'instruction': 'touch the red block',
    }
    return Observation(**{**fields, **changes})


def test_output_has_the_shapes_of_the_spec(vla):
    output = vla.infer(observation())
    assert output.features.shape == (vla.spec.feature_dim,)
    assert output.actions.shape == (vla.spec.chunk_size, vla.spec.action_dim) == (8, len(vla.spec.joint_names))
    assert output.features.dtype == output.actions.dtype == np.float32
    assert np.isfinite(output.features).all()
    assert np.isfinite(output.actions).all()


def test_a_card_without_a_spec_means_absolute_joints(vla):
    assert 'action_spec' not in json.loads(WEIGHTS.with_suffix('.json').read_text())
    assert vla.spec.action_spec == ActionSpec.absolute_joints(8, 8, 4, 0.05)
    assert vla.spec.state_spec == StateSpec.joints(8)


def test_the_components_fit_the_action(vla):
    velocities = (ActionComponent('joints', 8, 'joint', 'velocity', unit='rad/s'),)
    assert replace(vla.spec, components=velocities).action_spec.components == velocities
    with pytest.raises(ConfigError, match='action_dim = 7: must be 8, the columns of'):
        replace(vla.spec, components=velocities, action_dim=7)
    with pytest.raises(ConfigError, match='must take 8 measured values'):
        replace(vla.spec, state=StateSpec.joints(6))


def test_frozen_means_frozen(vla):
    """No parameter and no output changes by use: the graph has no state and the file is never written."""
    onnx = pytest.importorskip('onnx')
    digest = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    first = vla.infer(observation(1))
    for seed in range(20):
        vla.infer(observation(seed))
    again = vla.infer(observation(1))
    assert first.features.tobytes() == again.features.tobytes()
    assert first.actions.tobytes() == again.actions.tobytes()
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() == digest == vla.spec.backbone_hash
    graph = onnx.load(str(WEIGHTS)).graph
    assert {value.name for value in graph.output} == {'features', 'actions'}
    assert not {tensor.name for tensor in graph.initializer} & {value.name for value in graph.output}


def test_training_a_memory_leaves_the_vla_alone(vla):
    """A memory trains on arrays: its module holds no parameter of the VLA."""
    pytest.importorskip('torch')
    from aura_ros.train.modules import AuraModule, Sizes

    names = {tensor.name for tensor in pytest.importorskip('onnx').load(str(WEIGHTS)).graph.initializer}
    assert not names & {f'model.{name}' for name, _ in AuraModule(Sizes()).named_parameters()}


def test_words_and_pictures_matter(vla):
    red, blue = (vla.infer(observation(instruction=f'touch the {colour} block')).actions for colour in ('red', 'blue'))
    assert np.abs(red - blue).max() > 1e-3
    assert np.abs(vla.infer(observation(0)).features - vla.infer(observation(1)).features).max() > 1e-2


def test_weights_ship_with_a_card_and_are_small(vla):
    card = json.loads(WEIGHTS.with_suffix('.json').read_text())
    assert WEIGHTS.stat().st_size < 10e6
    assert {'training', 'validation', 'parameters', 'feature_dim'} <= card.keys()
    assert set(card['training']['tasks']) == set(VLA_TASKS), 'trained on what needs no memory'


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        ({'images': {'front': np.zeros((8, 8, 3), np.uint8)}}, 'wrist'),
        ({'images': {'front': np.zeros((8, 8), np.uint8), 'wrist': np.zeros((8, 8, 3), np.uint8)}}, 'front'),
        ({'joint_positions': np.full(8, np.nan, np.float32)}, 'joint_positions'),
        ({'joint_positions': np.zeros(7, np.float32)}, 'joint_positions'),
    ],
)
def test_a_bad_input_is_named(vla, changes, named):
    with pytest.raises(InputError, match=named):
        vla.infer(observation(**changes))


@pytest.mark.parametrize(('name', 'path'), [('gpt', None), ('embedded', '/nowhere.onnx'), ('no.module:f', None)])
def test_a_file_that_cannot_be_loaded_is_named(name, path):
    with pytest.raises(ConfigError):
        load_backbone(name, path)
