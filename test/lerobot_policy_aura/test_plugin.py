# SPDX-License-Identifier: Apache-2.0
"""The plugin in LeRobot's own programs, around a small ACT and SmolVLA. Needs the environment `lerobot`."""

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('lerobot', reason='needs LeRobot: ./run test --vla')
pytest.importorskip('lerobot_policy_aura')
import tiny_lerobot
import torch
import yaml
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.rollout.inference.sync import SyncInferenceEngine
from lerobot.utils.import_utils import register_third_party_plugins
from lerobot_policy_aura.__main__ import main

from aura_ros.common.arguments import WRONG_USE
from aura_ros.train.modules import AuraModule, Sizes
from aura_ros.train.saving import save_memory
from aura_ros.vla import load_backbone
from aura_ros.vla.protocol import Observation

TICKS = 12
NAMES = [f'{name}.pos' for name in tiny_lerobot.JOINTS]


HAS_GROOT = all(importlib.util.find_spec(name) for name in ('diffusers', 'tree'))
NEEDS_GROOT = pytest.mark.skipif(not HAS_GROOT, reason='GR00T needs diffusers and dm-tree: ./run test --vla')


@pytest.fixture(scope='module', params=['act', 'smolvla', pytest.param('groot', marks=NEEDS_GROOT)])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a frozen policy."""
    torch.set_num_threads(1)
    return tiny_lerobot.make(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope='module')
def weights(model: Path) -> Path:
    """Random weights of AURA-Mem for the frozen policy, whose head changes the action."""
    spec = load_backbone('lerobot', str(model)).spec
    torch.manual_seed(4)
    module = AuraModule(
        Sizes(feature_dim=spec.feature_dim, chunk_size=spec.chunk_size, action_dim=6, actions=spec.action_spec)
    )
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    path = model.parent / 'aura.safetensors'
    save_memory(module, path, {'backbone_sha256': spec.backbone_hash})
    return path


def folder(model: Path, name: str, *more: str) -> Path:
    output = model.parent / name
    if not output.exists():
        assert main(['--model-file', str(model), '--output', str(output), *more]) == 0
    return output


def frames() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            'observation.state': rng.normal(size=6).astype(np.float32),
            'observation.images.front': rng.integers(0, 255, (96, 96, 3), dtype=np.uint8),
        }
        for _ in range(TICKS)
    ]


def rollout(path: Path) -> tuple[np.ndarray, list[bytes], Any]:
    """Load and run a policy folder as LeRobot's rollout does; return actions, states of the memory, and the policy."""
    register_third_party_plugins()
    config = PreTrainedConfig.from_pretrained(path)
    policy = get_policy_class(config.type).from_pretrained(path, config=config).to('cpu').eval()
    pre, post = make_pre_post_processors(config, str(path))
    engine = SyncInferenceEngine(
        policy=policy,
        preprocessor=pre,
        postprocessor=post,
        dataset_features={'action': {'dtype': 'float32', 'shape': (6,), 'names': NAMES}},
        ordered_action_keys=NAMES,
        task='touch the red block',
        device='cpu',
        robot_type='so101_follower',
    )
    engine.start()
    engine.reset()
    actions, states = [], []
    for frame in frames():
        actions.append(engine.get_action(frame).numpy())
        states.append(policy._session.memory.export())
    return np.array(actions), states, policy


def test_two_rollouts_are_equal_bit_for_bit(model: Path, weights: Path) -> None:
    path = folder(model, 'aura', '--weights', str(weights))
    one, states, _ = rollout(path)
    other, again, _ = rollout(path)
    assert one.shape == (TICKS, 6)
    assert one.tobytes() == other.tobytes()
    assert states == again
    assert len(states[-1]) == 4224


def test_reset_begins_an_episode_with_an_empty_memory(model: Path, weights: Path) -> None:
    path = folder(model, 'aura', '--weights', str(weights))
    first, _, policy = rollout(path)
    policy.reset()
    pre, _ = make_pre_post_processors(policy.config, str(path))
    from lerobot.policies.utils import prepare_observation_for_inference

    again = [
        policy.select_action(
            pre(prepare_observation_for_inference(frame, torch.device('cpu'), 'touch the red block', 'so101_follower'))
        )[0].numpy()
        for frame in frames()
    ]
    assert np.array(again).tobytes() == first.tobytes()


def test_memory_sees_one_step_for_each_chunk(model: Path, weights: Path) -> None:
    _, _, policy = rollout(folder(model, 'aura', '--weights', str(weights)))
    assert policy._session.order.seq == TICKS // 4 - 1  # the file executes four actions of a chunk
    assert policy.decision is not None


def test_memory_changes_the_actions_of_the_adapter_and_none_does_not(model: Path, weights: Path) -> None:
    """With the memory `none` the actions are those that vla_node gets from the adapter."""
    backbone = load_backbone('lerobot', str(model))
    expected: list[np.ndarray] = []
    for tick, frame in enumerate(frames()):
        if tick % 4 == 0:
            seen = Observation(
                {'front': frame['observation.images.front']}, frame['observation.state'], 'touch the red block'
            )
            expected.extend(backbone.infer(seen).actions[:4])
    plain, _, _ = rollout(folder(model, 'none', '--memory', 'none', '--weights', str(weights)))
    assert plain == pytest.approx(np.array(expected), rel=1e-5, abs=1e-5)
    changed, _, _ = rollout(folder(model, 'aura', '--weights', str(weights)))
    assert not np.allclose(changed, plain, atol=1e-3)


def test_memory_of_another_policy_is_refused(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / 'policy'
    assert main(['--model-file', str(model), '--output', str(output)]) == WRONG_USE  # the weights that ship
    assert 'train a memory' in capsys.readouterr().err
    assert not output.exists()


def test_memory_of_other_actions_is_refused(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = load_backbone('lerobot', str(model)).spec
    module = AuraModule(Sizes(feature_dim=spec.feature_dim, chunk_size=spec.chunk_size, action_dim=6))
    path = tmp_path / 'joints.safetensors'
    save_memory(module, path, {'backbone_sha256': spec.backbone_hash})
    assert main(['--model-file', str(model), '--weights', str(path), '--output', str(tmp_path / 'policy')]) == WRONG_USE
    error = capsys.readouterr().err
    assert 'action specs differ' in error and 'deg' in error


def test_actions_relative_to_the_state_are_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = shutil.copytree(yaml.safe_load(model.read_text())['checkpoint'], tmp_path / 'checkpoint')
    file = checkpoint / 'config.json'
    content = json.loads(file.read_text())
    if 'use_relative_actions' not in content:
        pytest.skip(f'{content["type"]} has no such actions')
    file.write_text(json.dumps(content | {'use_relative_actions': True}))
    output = tmp_path / 'policy'
    assert main(['--model-file', str(model), '--checkpoint', str(checkpoint), '--output', str(output)]) == WRONG_USE
    assert 'use_relative_actions = True' in capsys.readouterr().err and not output.exists()


def test_existing_folder_is_kept(model: Path, tmp_path: Path) -> None:
    assert main(['--model-file', str(model), '--output', str(tmp_path)]) == WRONG_USE
    assert not list(tmp_path.iterdir())
