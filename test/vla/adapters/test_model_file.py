# SPDX-License-Identifier: Apache-2.0
"""The files of models: the presets of config/vla, the errors of a file, and the hash of a folder."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

from aura_ros.common.errors import ConfigError
from aura_ros.vla import load_backbone
from aura_ros.vla.adapters.lerobot_policy import TAPS, LerobotOptions
from aura_ros.vla.adapters.model_file import backbone_hash, needed_file, read_model_file
from aura_ros.vla.adapters.oft_classes import PLATFORMS
from aura_ros.vla.adapters.openvla_oft import TAP, OftOptions
from aura_ros.vla.remote.options import read_options

ROOT = Path(__file__).parents[3]
PRESETS = sorted((ROOT / 'config' / 'vla').glob('*.yaml'))


@pytest.mark.parametrize('path', PRESETS, ids=lambda path: path.stem)
def test_preset_is_valid_and_says_how_it_was_tested(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding='utf-8')
    content = yaml.safe_load(text)
    assert 'docs/vla.md' in text.split('\n\n')[0]
    assert 'tested' in text or 'Checked with a small random' in text
    if 'remote' in content:
        _, contract = read_options(str(path))
        assert contract is not None and contract.features is None
        return
    adapter = 'lerobot' if 'lerobot' in content else 'openvla_oft'
    file = read_model_file(str(path), adapter, str(tmp_path))
    assert file.contract.features is not None
    if adapter == 'lerobot':
        LerobotOptions.from_dict(file.options)
        assert file.contract.features.tap in {tap for taps in TAPS.values() for tap in taps}
        return
    options = OftOptions.from_dict(file.options)
    assert options.platform in PLATFORMS
    assert set(options.rotate_180) <= set(file.contract.cameras)
    assert file.contract.features.tap == TAP


def test_presets_of_the_documentation_exist() -> None:
    names = {path.stem for path in PRESETS}
    assert names == {'libero_oft', 'bridge_oft', 'aloha', 'droid_openpi', 'so101_smolvla', 'so101_act', 'so101_groot'}
    text = (ROOT / 'docs' / 'vla.md').read_text(encoding='utf-8')
    assert all(name in text for name in names)


PRESET = ROOT / 'config' / 'vla' / 'so101_act.yaml'


@pytest.mark.parametrize(
    ('changes', 'problem'),
    [
        ({'checkpoint': None}, 'checkpoint = None'),
        ({'checkpoint': '/no/such/folder'}, 'there is no such folder'),
        ({'features': None}, 'features is missing'),
        ({'lerobot': None}, "the key 'lerobot'"),
        ({'camera': 'front'}, 'camera is unknown'),
        ({'chunk_size': 0}, 'chunk_size'),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], problem: str, tmp_path: Path) -> None:
    content = yaml.safe_load(PRESET.read_text()) | {'checkpoint': str(tmp_path)} | changes
    path = tmp_path / 'model.yaml'
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
    with pytest.raises(ConfigError, match=problem):
        read_model_file(str(path), 'lerobot')


@pytest.mark.parametrize('path', [None, '', 'model.json'])
def test_path_must_be_a_yaml_file(path: str | None) -> None:
    with pytest.raises(ConfigError, match='must be a YAML file'):
        read_model_file(path, 'lerobot')


@pytest.mark.parametrize(
    ('backbone', 'package', 'preset'), [('lerobot', 'lerobot', 'so101_act'), ('openvla_oft', 'vla_arena', 'libero_oft')]
)
def test_missing_package_names_the_command(backbone: str, package: str, preset: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(package):
        pytest.skip(f'{package} is installed')
    with pytest.raises(ConfigError, match=rf'\./run serve --backbone {backbone}'):
        load_backbone(backbone, str(ROOT / 'config' / 'vla' / f'{preset}.yaml'), str(tmp_path))


def test_hash_depends_on_names_contents_and_settings(tmp_path: Path) -> None:
    one, other = tmp_path / 'a.json', tmp_path / 'b.json'
    one.write_text('1')
    other.write_text('2')
    base = backbone_hash([one, other], {'tap': 'x'})
    assert base == backbone_hash([other, one], {'tap': 'x'})
    assert base != backbone_hash([one, other], {'tap': 'y'})
    other.write_text('3')
    assert base != backbone_hash([one, other], {'tap': 'x'})


def test_needed_file_is_the_only_one(tmp_path: Path) -> None:
    (tmp_path / 'head--1_checkpoint.pt').touch()
    assert needed_file(tmp_path, 'head*').name == 'head--1_checkpoint.pt'
    (tmp_path / 'head--2_checkpoint.pt').touch()
    with pytest.raises(ConfigError, match='must have one file'):
        needed_file(tmp_path, 'head*')
