# SPDX-License-Identifier: Apache-2.0
"""The adapter of LeRobot's policies, with small checkpoints of the real classes. Needs the environment `lerobot`."""

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('lerobot', reason='needs LeRobot: ./run test --vla')
import tiny_lerobot
import torch
import yaml
from safetensors.torch import load_file, save_file

from aura_ros.common.errors import ConfigError, InputError
from aura_ros.vla import load_backbone
from aura_ros.vla.adapters.lerobot import LerobotBackbone
from aura_ros.vla.protocol import Observation

HAS_GROOT = all(importlib.util.find_spec(name) for name in ('diffusers', 'tree'))
NEEDS_GROOT = pytest.mark.skipif(not HAS_GROOT, reason='GR00T needs diffusers and dm-tree: ./run test --vla')
KINDS = ('smolvla', 'pi0', 'pi05', 'act', pytest.param('groot', marks=NEEDS_GROOT))
WIDTHS = {'smolvla': 64, 'pi0': 64, 'pi05': 64, 'act': 32, 'groot': 64}


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The file of a model for each type of policy."""
    torch.set_num_threads(1)
    with tiny_lerobot.small_pi():
        kinds = [kind for kind in WIDTHS if kind != 'groot' or HAS_GROOT]
        yield {kind: tiny_lerobot.make(kind, tmp_path_factory.mktemp(kind)) for kind in kinds}


@pytest.fixture(scope='module', params=KINDS)
def backbone(request: pytest.FixtureRequest, files: dict[str, Path]) -> LerobotBackbone:
    """A loaded backbone of each type."""
    found = load_backbone('lerobot', str(files[request.param]))
    assert isinstance(found, LerobotBackbone)
    return found


def observation(seed: int, instruction: str = 'touch the red block') -> Observation:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, (96, 96, 3), dtype=np.uint8)
    image.flags.writeable = False
    return Observation({'front': image}, rng.normal(size=6).astype(np.float32), instruction)


def lerobots_own(backbone: LerobotBackbone, files: dict[str, Path], seed: int) -> torch.Tensor:
    """Return the chunk as LeRobot's own programs compute it: loaded again, one action after the other."""
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors
    from lerobot.policies.utils import prepare_observation_for_inference

    kind = backbone.spec.name
    content = yaml.safe_load(files[kind].read_text())
    config = PreTrainedConfig.from_pretrained(content['checkpoint'])
    policy = get_policy_class(kind).from_pretrained(content['checkpoint'], config=config).eval()
    words = {} if kind == 'act' else {'tokenizer_processor': {'tokenizer_name': content['lerobot'].get('vlm')}}
    if kind == 'groot':
        words = {'groot_n1_7_vlm_encode_v1': {'model_name': content['lerobot']['vlm']}}
    pre, post = make_pre_post_processors(config, content['checkpoint'], preprocessor_overrides=words)
    seen = observation(seed)
    raw = {'observation.state': seen.joint_positions, 'observation.images.front': np.array(seen.images['front'])}
    batch = pre(prepare_observation_for_inference(raw, torch.device('cpu'), seen.instruction, 'so101_follower'))
    noise = {}
    if kind == 'groot':
        torch.manual_seed(0)  # the class draws its noise itself
    elif kind != 'act':
        generator = torch.Generator().manual_seed(0)
        noise = {'noise': torch.randn(1, tiny_lerobot.CHUNK, 8, generator=generator)}
    with torch.inference_mode():
        chunk = policy.predict_action_chunk(batch, **noise)
        return torch.stack([post(chunk[:, step])[0] for step in range(chunk.shape[1])])


def test_actions_are_those_of_lerobot(backbone: LerobotBackbone, files: dict[str, Path]) -> None:
    for seed in (1, 2):
        own = lerobots_own(backbone, files, seed).numpy()
        found = backbone.infer(observation(seed)).actions
        assert found.shape == (tiny_lerobot.CHUNK, 6)
        assert found == pytest.approx(own, rel=1e-5, abs=1e-5)
        assert np.ptp(own, axis=1).min() > 0.1  # the normalisation of each column is another one


def test_same_observation_gives_the_same_bits_also_after_others(backbone: LerobotBackbone) -> None:
    first = backbone.infer(observation(1))
    other = backbone.infer(observation(2))
    torch.manual_seed(99)
    again = backbone.infer(observation(1))
    assert first.actions.tobytes() == again.actions.tobytes()
    assert first.features.tobytes() == again.features.tobytes()
    assert not np.array_equal(first.features, other.features)
    assert not np.array_equal(first.actions, other.actions)


def test_another_process_would_load_the_same(backbone: LerobotBackbone, files: dict[str, Path]) -> None:
    again = load_backbone('lerobot', str(files[backbone.spec.name]))
    assert again.spec == backbone.spec
    assert again.infer(observation(5)).features.tobytes() == backbone.infer(observation(5)).features.tobytes()


def test_spec_is_that_of_file_and_tap(backbone: LerobotBackbone) -> None:
    spec, kind = backbone.spec, backbone.spec.name
    assert spec.feature_dim == WIDTHS[kind]
    assert backbone.features is not None
    assert backbone.features.tap == f'lerobot.{kind}.{"decoder" if kind == "act" else "prefix"}'
    assert (spec.chunk_size, spec.n_action_steps, spec.action_dim) == (tiny_lerobot.CHUNK, 4, 6)
    assert [part.unit for part in spec.components] == ['deg', '']


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('tap', ['prefix', 'expert', 'decoder'])
def test_features_are_the_mean_of_the_tapped_tokens(
    kind: str, tap: str, files: dict[str, Path], tmp_path: Path
) -> None:
    content = yaml.safe_load(files[kind].read_text())
    if (tap == 'decoder') != (kind == 'act'):
        path = tmp_path / 'wrong.yaml'
        path.write_text(yaml.safe_dump(content | {'features': {'tap': tap}}))
        with pytest.raises(ConfigError, match=r'features\.tap'):
            load_backbone('lerobot', str(path))
        return
    path = tmp_path / 'model.yaml'
    path.write_text(yaml.safe_dump(content | {'features': {'tap': tap}}))
    backbone = load_backbone('lerobot', str(path))
    assert isinstance(backbone, LerobotBackbone)
    seen: list[torch.Tensor] = []
    policy = backbone.tapped.policy
    if kind == 'groot':
        head = policy._groot_model.action_head
        tapped = policy._groot_model.backbone.language_model.layers[-1] if tap == 'prefix' else head.model
        tapped.register_forward_hook(lambda _, given, out: seen.append(out[0] if isinstance(out, tuple) else out))
    elif tap == 'prefix':
        name = 'vlm_with_expert' if kind == 'smolvla' else 'paligemma_with_expert'
        module = getattr(policy.model, name)
        norm = module.vlm.model.text_model.norm if kind == 'smolvla' else module.paligemma.model.language_model.norm
        norm.register_forward_hook(lambda _, given, out: seen.append(out[0] if isinstance(out, tuple) else out))
    else:
        output = policy.model.action_head if kind == 'act' else policy.model.action_out_proj
        output.register_forward_hook(lambda _, given, out: seen.append(given[0]))
    features = backbone.infer(observation(1)).features
    tokens = seen[0 if tap == 'prefix' else -1][0].float()
    if tap == 'prefix' and kind in ('pi0', 'pi05'):
        tokens = tokens[: 256 + _words(backbone, kind)]  # 256 tokens of the image, then those of the words
    assert features == pytest.approx(tokens.mean(0).numpy(), rel=1e-4, abs=1e-5)


def _words(backbone: LerobotBackbone, kind: str) -> int:
    batch = backbone.tapped.preprocess(backbone.batch(observation(1)))
    count = int(batch['observation.language.attention_mask'].sum())
    assert 1 < count < 60, 'the words need padding'
    return count


def test_noise_of_a_flow_policy_is_in_the_hash_and_in_the_actions(files: dict[str, Path], tmp_path: Path) -> None:
    content = yaml.safe_load(files['smolvla'].read_text())
    found = []
    for seed in (0, 1):
        path = tmp_path / f'{seed}.yaml'
        path.write_text(yaml.safe_dump(content | {'lerobot': content['lerobot'] | {'noise_seed': seed}}))
        found.append(load_backbone('lerobot', str(path)))
    one, other = (backbone.infer(observation(1)) for backbone in found)
    assert found[0].spec.backbone_hash != found[1].spec.backbone_hash
    assert not np.array_equal(one.actions, other.actions)
    assert np.array_equal(one.features, other.features), 'the prefix is free of noise'


@pytest.mark.parametrize(
    ('changes', 'problem'),
    [
        ({'cameras': ['wrist']}, "cameras = \\['wrist'\\] in the file"),
        ({'chunk_size': 9}, 'chunk_size = 9 in the file'),
        ({'joint_names': ['a', 'b']}, 'values of the state = 2'),
        ({'actions': [{'name': 'arm', 'dims': 7, 'kind': 'joint', 'mode': 'absolute'}]}, 'columns of an action = 7'),
        ({'features': None}, 'features is missing'),
        ({'features': {'tap': 'prefix', 'pool': 'none'}}, 'features.pool'),
        ({'checkpoint': '/no/such/folder'}, 'no such folder'),
        ({'lerobot': {'device': 'tpu'}}, 'lerobot.device'),
        ({'lerobot': {'vlm': '/no/such/folder'}}, 'lerobot.vlm'),
        ({'lerobot': {'seed': 1}}, 'seed is unknown'),
        ({'lerobot': None}, "the key 'lerobot'"),
    ],
)
def test_mistakes_in_the_file_are_named(
    changes: dict[str, Any], problem: str, files: dict[str, Path], tmp_path: Path
) -> None:
    content = yaml.safe_load(files['smolvla'].read_text()) | changes
    path = tmp_path / 'model.yaml'
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
    with pytest.raises(ConfigError, match=problem):
        load_backbone('lerobot', str(path))


def _copy(files: dict[str, Path], tmp_path: Path) -> tuple[Path, Path]:
    """Return a copy of the ACT checkpoint and a file for it."""
    content = yaml.safe_load(files['act'].read_text())
    folder = tmp_path / 'act'
    shutil.copytree(content['checkpoint'], folder)
    path = tmp_path / 'act.yaml'
    path.write_text(yaml.safe_dump(content | {'checkpoint': str(folder)}))
    return folder, path


def test_weights_that_are_missing_or_of_another_size_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    folder, path = _copy(files, tmp_path)
    weights = load_file(folder / 'model.safetensors')
    name = next(name for name in weights if 'action_head.weight' in name)
    save_file({key: value for key, value in weights.items() if key != name}, folder / 'model.safetensors')
    with pytest.raises(ConfigError, match='action_head'):
        load_backbone('lerobot', str(path))
    (folder / 'model.safetensors').write_bytes(b'no weights')
    with pytest.raises(ConfigError, match='act'):
        load_backbone('lerobot', str(path))
    (folder / 'model.safetensors').unlink()
    with pytest.raises(ConfigError, match=r'model\.safetensors'):
        load_backbone('lerobot', str(path))


def test_another_weight_is_another_hash(files: dict[str, Path], tmp_path: Path) -> None:
    folder, path = _copy(files, tmp_path)
    before = load_backbone('lerobot', str(path)).spec.backbone_hash
    assert before == load_backbone('lerobot', str(files['act'])).spec.backbone_hash, 'a copy is the same backbone'
    weights = load_file(folder / 'model.safetensors')
    name = next(name for name in weights if 'action_head.weight' in name)
    weights[name][0, 0] += 0.5
    save_file(weights, folder / 'model.safetensors')
    assert load_backbone('lerobot', str(path)).spec.backbone_hash != before


def test_processor_that_names_a_class_by_path_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    folder, path = _copy(files, tmp_path)
    file = folder / 'policy_preprocessor.json'
    content = json.loads(file.read_text())
    content['steps'][0] = {'class': 'os.system', 'config': {}}
    file.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match='registry_name'):
        load_backbone('lerobot', str(path))


def test_policy_without_a_tap_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    folder, path = _copy(files, tmp_path)
    content = json.loads((folder / 'config.json').read_text())
    (folder / 'config.json').write_text(json.dumps(content | {'type': 'diffusion'}))
    with pytest.raises(ConfigError, match='type of the checkpoint'):
        load_backbone('lerobot', str(path))


def test_bad_observations_are_refused(files: dict[str, Path]) -> None:
    backbone = load_backbone('lerobot', str(files['act']))
    good = observation(1)
    for bad, problem in (
        (Observation({}, good.joint_positions, ''), 'missing'),
        (Observation(good.images, np.full(6, np.nan, np.float32), ''), 'finite'),
    ):
        with pytest.raises(InputError, match=problem):
            backbone.infer(bad)


@pytest.fixture
def groot(files: dict[str, Path], tmp_path: Path) -> dict[str, Any]:
    """The file of GR00T with copies of the folders that a test may change."""
    if not HAS_GROOT:
        pytest.skip('GR00T needs diffusers and dm-tree: ./run test --vla')
    content: dict[str, Any] = yaml.safe_load(files['groot'].read_text())
    for name in ('base', 'vlm'):
        content['lerobot'][name] = str(shutil.copytree(content['lerobot'][name], tmp_path / name))
    return content


def load_groot(content: dict[str, Any], tmp_path: Path) -> LerobotBackbone:
    path = tmp_path / 'groot.yaml'
    path.write_text(yaml.safe_dump(content))
    found = load_backbone('lerobot', str(path))
    assert isinstance(found, LerobotBackbone)
    return found


def test_groot_draws_the_same_noise_and_leaves_the_generator_alone(groot: dict[str, Any], tmp_path: Path) -> None:
    backbone = load_groot(groot, tmp_path)
    torch.manual_seed(5)
    first = torch.rand(1)
    torch.manual_seed(5)
    backbone.infer(observation(1))
    assert torch.equal(first, torch.rand(1))
    groot['lerobot']['noise_seed'] = 1
    other = load_groot(groot, tmp_path)
    assert other.spec.backbone_hash != backbone.spec.backbone_hash
    assert not np.array_equal(other.infer(observation(1)).actions, backbone.infer(observation(1)).actions)


def test_the_settings_of_the_base_model_of_groot_are_in_the_hash(groot: dict[str, Any], tmp_path: Path) -> None:
    before = load_groot(groot, tmp_path)
    file = Path(groot['lerobot']['base'], 'config.json')
    file.write_text(json.dumps(json.loads(file.read_text()) | {'num_inference_timesteps': 3}))
    after = load_groot(groot, tmp_path)
    assert after.spec.backbone_hash != before.spec.backbone_hash
    assert not np.array_equal(after.infer(observation(1)).actions, before.infer(observation(1)).actions)


@pytest.mark.parametrize('name', ['base', 'vlm'])
def test_code_beside_groot_is_not_run(name: str, groot: dict[str, Any], tmp_path: Path) -> None:
    """LeRobot loads these folders with trust_remote_code."""
    Path(groot['lerobot'][name], 'tokenization.py').write_text(f'open({str(tmp_path / "ran")!r}, "w")')
    with pytest.raises(ConfigError, match=rf'lerobot\.{name} = .*no Python files.*tokenization\.py'):
        load_groot(groot, tmp_path)
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('name', ['base', 'vlm'])
def test_groot_needs_its_folders(name: str, groot: dict[str, Any], tmp_path: Path) -> None:
    del groot['lerobot'][name]
    with pytest.raises(ConfigError, match=rf"lerobot\.{name} = '': must be the folder"):
        load_groot(groot, tmp_path)


def test_another_model_than_groot_n1_7_is_refused(groot: dict[str, Any], tmp_path: Path) -> None:
    file = Path(groot['lerobot']['base'], 'config.json')
    file.write_text(json.dumps(json.loads(file.read_text()) | {'model_name': 'someone/else'}))
    with pytest.raises(ConfigError, match="model_name = 'someone/else': must be nvidia/Cosmos-Reason2-2B"):
        load_groot(groot, tmp_path)


def test_behind_aura_serve_the_output_is_the_same(files: dict[str, Path]) -> None:
    pytest.importorskip('websockets')
    from remote_rig import connected, served

    from aura_ros.tools.serve.main import contract_of

    backbone = load_backbone('lerobot', str(files['smolvla']))
    with served(backbone, contract_of(backbone)) as server, connected(f'ws://127.0.0.1:{server.port}') as remote:
        assert remote.spec == backbone.spec
        found, own = remote.infer(observation(4)), backbone.infer(observation(4))
    assert found.features.tobytes() == own.features.tobytes()
    assert found.actions.tobytes() == own.actions.tobytes()
