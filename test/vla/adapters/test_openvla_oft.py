# SPDX-License-Identifier: Apache-2.0
"""The adapter of OpenVLA-OFT, with a small checkpoint of the real classes. Needs the environment `openvla_oft`."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if not importlib.util.find_spec('vla_arena'):
    pytest.skip('needs vla-arena: ./run test --vla', allow_module_level=True)
import torch
import yaml

from aura_ros.bench.cli import main as bench
from aura_ros.common.errors import ConfigError, InputError
from aura_ros.vla import load_backbone
from aura_ros.vla.adapters import random_oft
from aura_ros.vla.adapters.oft_classes import import_classes
from aura_ros.vla.adapters.oft_images import crop_centre, prepare, resize
from aura_ros.vla.adapters.openvla_oft import OpenVlaOft
from aura_ros.vla.protocol import Observation

DATA = Path(__file__).parents[2] / 'data'
SIZE = random_oft.SIZES['tiny']


@pytest.fixture(scope='module')
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model with two cameras."""
    torch.set_num_threads(1)
    return random_oft.write_checkpoint(tmp_path_factory.mktemp('oft'))


@pytest.fixture(scope='module')
def backbone(file: Path) -> OpenVlaOft:
    found = load_backbone('openvla_oft', str(file))
    assert isinstance(found, OpenVlaOft)
    return found


def observation(seed: int, words: str = 'Pick up the red cube') -> Observation:
    rng = np.random.default_rng(seed)
    images = {name: rng.integers(0, 255, (80, 100, 3), dtype=np.uint8) for name in ('front', 'wrist')}
    for image in images.values():
        image.flags.writeable = False
    measured = (rng.normal(size=8) / 10).astype(np.float32)
    state = {'position': measured[:3], 'rotation': measured[3:6], 'fingers': measured[6:]}
    return Observation(images, measured, words, state)


def own(file: Path, seen: Observation) -> tuple[np.ndarray, torch.Tensor]:
    """Return actions and hidden states of the classes themselves, loaded again, as the authors' programs call them."""
    from PIL import Image
    from transformers import AutoTokenizer

    classes = import_classes('libero')
    folder = Path(yaml.safe_load(file.read_text())['checkpoint'])
    model = classes.model.from_pretrained(folder, dtype=torch.float32).eval()
    statistics = json.loads((folder / 'dataset_statistics.json').read_text())
    model.norm_stats = statistics
    model.vision_backbone.set_num_images_in_input(2)
    parts = []
    for name, part in (
        ('action_head', classes.action_head(SIZE.width, SIZE.width, 7)),
        ('proprio_projector', classes.proprio_projector(SIZE.width, 8)),
    ):
        weights = torch.load(folder / f'{name}--150000_checkpoint.pt', weights_only=True)
        part.load_state_dict({key[len('module.') :]: value for key, value in weights.items()})
        parts.append(part.eval())
    words = AutoTokenizer.from_pretrained(folder)(
        'In: What action should the robot take to pick up the red cube?\nOut:', return_tensors='pt'
    )['input_ids']
    words = torch.cat([words, torch.tensor([[29871]])], dim=1)
    processor = classes.image_processor.from_pretrained(folder)
    pixels = [
        processor(Image.fromarray(prepare(seen.images[name], SIZE.image, rotate=True, crop=True)), return_tensors='pt')
        for name in ('front', 'wrist')
    ]
    bounds = statistics[random_oft.KEY]['proprio']
    low, high = np.array(bounds['q01']), np.array(bounds['q99'])
    state = np.clip(2 * (seen.joint_positions - low) / (high - low + 1e-8) - 1, -1, 1)
    with torch.inference_mode():
        actions, hidden = model.predict_action(
            input_ids=words,
            attention_mask=torch.ones_like(words),
            pixel_values=torch.cat([one['pixel_values'] for one in pixels], dim=1),
            unnorm_key=random_oft.KEY,
            proprio=state[None],
            proprio_projector=parts[1],
            action_head=parts[0],
        )
    return np.asarray(actions), hidden


def test_actions_and_features_are_those_of_the_classes(backbone: OpenVlaOft, file: Path) -> None:
    seen = observation(1)
    actions, hidden = own(file, seen)
    found = backbone.infer(seen)
    assert hidden.shape == (1, 56, SIZE.width)
    assert found.actions == pytest.approx(actions, rel=1e-5, abs=1e-6)
    assert found.features == pytest.approx(hidden[0].mean(0).numpy(), rel=1e-5, abs=1e-6)
    assert np.ptp(actions, axis=0).min() > 1e-4


def test_same_observation_gives_the_same_bits_also_after_others(backbone: OpenVlaOft) -> None:
    first, other, again = (backbone.infer(observation(seed)) for seed in (1, 2, 1))
    assert first.actions.tobytes() == again.actions.tobytes()
    assert first.features.tobytes() == again.features.tobytes()
    assert not np.array_equal(first.features, other.features)


@pytest.mark.parametrize('part', ['front', 'wrist', 'state', 'words'])
def test_every_input_counts(backbone: OpenVlaOft, part: str) -> None:
    seen, other = observation(1), observation(2)
    images = {name: (other if name == part else seen).images[name] for name in seen.images}
    state = (other if part == 'state' else seen).state
    changed = Observation(images, seen.joint_positions, 'open drawer' if part == 'words' else seen.instruction, state)
    assert not np.array_equal(backbone.infer(seen).features, backbone.infer(changed).features)


def test_spec_is_that_of_the_file(backbone: OpenVlaOft) -> None:
    spec = backbone.spec
    assert (spec.chunk_size, spec.action_dim, spec.feature_dim) == (8, 7, SIZE.width)
    assert spec.components[2].binary
    assert len(spec.backbone_hash) == 64
    assert backbone.features is not None
    assert backbone.features.tap == 'openvla_oft.action_tokens'


@pytest.mark.parametrize('change', [{'rotate_180': []}, {'center_crop': False}, {'dtype': 'bfloat16'}])
def test_options_that_change_the_output_change_the_hash(
    backbone: OpenVlaOft, file: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    content = yaml.safe_load(file.read_text())
    content['openvla_oft'] |= change
    path = tmp_path / 'other.yaml'
    path.write_text(yaml.safe_dump(content))
    other = load_backbone('openvla_oft', str(path))
    assert other.spec.backbone_hash != backbone.spec.backbone_hash
    assert not np.array_equal(other.infer(observation(1)).features, backbone.infer(observation(1)).features)
    assert np.isfinite(other.infer(observation(1)).actions).all()


@pytest.mark.parametrize(
    ('changes', 'problem'),
    [
        ({'chunk_size': 5, 'n_action_steps': 5}, 'chunk_size with platform libero = 5'),
        ({'actions': random_oft.ACTIONS[:2]}, 'columns of an action'),
        ({'state': random_oft.STATE[:2], 'joint_names': list('abcdef')}, 'values of the state'),
        ({'features': {'tap': 'prefix'}}, r'features\.tap'),
        ({'openvla_oft': {'platform': 'droid'}}, 'platform'),
        ({'openvla_oft': {'platform': 'aloha'}}, 'another process'),
        ({'openvla_oft': {'unnorm_key': 'bridge'}}, 'unnorm_key'),
        ({'openvla_oft': {'rotate_180': ['side']}}, 'rotate_180'),
        ({'openvla_oft': {'dtype': 'int8'}}, 'dtype'),
        ({'openvla_oft': {'center_crop': 1}}, 'center_crop'),
        ({'openvla_oft': {'crop': True}}, 'crop is unknown'),
    ],
)
def test_mistakes_in_the_file_are_named(changes: dict[str, Any], problem: str, file: Path, tmp_path: Path) -> None:
    path = tmp_path / 'model.yaml'
    path.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | changes))
    with pytest.raises(ConfigError, match=problem):
        load_backbone('openvla_oft', str(path))


@pytest.fixture
def copy(file: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the checkpoint, and a file for it."""
    content = yaml.safe_load(file.read_text())
    shutil.copytree(content['checkpoint'], tmp_path / 'copy')
    path = tmp_path / 'model.yaml'
    path.write_text(yaml.safe_dump(content | {'checkpoint': str(tmp_path / 'copy')}))
    return tmp_path / 'copy', path


@pytest.mark.parametrize(
    ('pattern', 'problem'),
    [
        ('dataset_statistics.json', 'dataset_statistics'),
        ('action_head*', 'action_head'),
        ('proprio_projector*', 'proprio_projector'),
        ('model-00002*.safetensors', 'oft|copy'),
        ('preprocessor_config.json', 'copy'),
        ('tokenizer*', 'copy'),
    ],
)
def test_incomplete_downloads_are_refused(copy: tuple[Path, Path], pattern: str, problem: str) -> None:
    folder, path = copy
    found = list(folder.glob(pattern))
    assert found
    for one in found:
        one.unlink()
    with pytest.raises(ConfigError, match=problem):
        load_backbone('openvla_oft', str(path))


class Command:
    """What unpickles to a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ('unpickled',)


def test_pickle_in_place_of_weights_is_refused(copy: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder, path = copy
    torch.save({'model': Command()}, folder / 'action_head--150000_checkpoint.pt')
    with pytest.raises(ConfigError, match='copy'):
        load_backbone('openvla_oft', str(path))
    assert 'unpickled' not in capsys.readouterr().out


@pytest.mark.parametrize('bad', [{}, {'q01': [0.0], 'q99': [1.0]}, {'q01': [0.0] * 8, 'q99': [float('nan')] * 8}])
def test_statistics_that_do_not_fit_are_refused(copy: tuple[Path, Path], bad: dict[str, Any]) -> None:
    folder, path = copy
    content = random_oft.statistics()
    content[random_oft.KEY]['proprio'] = bad
    (folder / 'dataset_statistics.json').write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r'dataset_statistics\.json: proprio'):
        load_backbone('openvla_oft', str(path))


def test_bad_observations_are_refused(backbone: OpenVlaOft) -> None:
    seen = observation(1)
    with pytest.raises(InputError, match='missing'):
        backbone.infer(Observation({'front': seen.images['front']}, seen.joint_positions, '', seen.state))
    state = dict(seen.state) | {'position': np.full(3, np.nan, np.float32)}
    with pytest.raises(InputError, match='finite'):
        backbone.infer(Observation(seen.images, seen.joint_positions, '', state))


def test_words_of_the_command_line_do_not_choose_the_constants() -> None:
    words = sys.argv
    assert import_classes('libero').chunk_size == 8
    assert sys.argv is words


def test_behind_aura_serve_the_output_is_the_same(backbone: OpenVlaOft) -> None:
    pytest.importorskip('websockets')
    from remote_rig import connected, served

    from aura_ros.tools.serve.main import contract_of

    with served(backbone, contract_of(backbone)) as server, connected(f'ws://127.0.0.1:{server.port}') as remote:
        assert remote.spec == backbone.spec
        found, direct = remote.infer(observation(4)), backbone.infer(observation(4))
    assert found.features.tobytes() == direct.features.tobytes()
    assert found.actions.tobytes() == direct.actions.tobytes()


def test_images_are_those_of_tensorflow() -> None:
    golden = np.load(DATA / 'oft_images.npz', allow_pickle=False)
    size = golden['resized'].shape[0]
    cropped = crop_centre(golden['resized']).astype(int) - golden['cropped']
    assert abs(cropped).max() <= 1
    # TensorFlow decodes JPEG with a faster, less exact transform.
    resized = resize(golden['image'], size).astype(int) - golden['resized']
    assert abs(resized).mean() < 2
    assert abs(resized).max() <= 16


def test_images_turn_by_180_degrees() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[0, 0] = 255
    turned = prepare(image, 16, rotate=True, crop=False)
    assert turned[-1, -1].tolist() == [255] * 3
    assert turned.sum() == image.sum()


def test_the_benchmark_of_a_random_checkpoint(tmp_path: Path) -> None:
    assert bench(['vla', '--random', 'tiny', '--quick', '--output', str(tmp_path)]) == 0
    found = json.loads((tmp_path / 'vla-tiny.json').read_text())
    assert [row['part'] for row in found['rows']] == ['backbone', 'aura', 'elmur', 'gru', 'kv']
    assert found['feature_dim'] == SIZE.width


def test_the_shapes_of_7b_have_seven_and_a_half_billion_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, 'item', lambda _: 0.0)  # timm reads rates back, which have no values here
    with torch.device('meta'):
        model = random_oft.make_model(import_classes('libero'), random_oft.SIZES['7b'])
    assert sum(one.numel() for one in model.parameters()) == pytest.approx(7.54e9, rel=0.01)
    assert model.llm_dim == 4096
