# SPDX-License-Identifier: Apache-2.0
"""One's own frozen VLA: recordings, both memories and the action head alone, and the printed command as it is typed."""

import json
import os
import shlex
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

for needed in ('av', 'rosbags', 'torch'):
    pytest.importorskip(needed)

from lerobot_sets import version_2, version_3  # noqa: E402
from own_vla import OWN  # noqa: E402

from aura_ros.memory.weights import load_weights  # noqa: E402
from aura_ros.replay.main import main as replay  # noqa: E402
from aura_ros.train.main import main as train  # noqa: E402
from aura_ros.train.own import PROGRAM_MARK, replay_command  # noqa: E402

QUICK = ['--steps', '8', '--round-steps', '5']
BACKBONE = ['--backbone', 'own_vla:make']
KINDS = ('aura', 'kv', 'memoryless')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder with two datasets and a mapping file."""
    folder = tmp_path_factory.mktemp('own')
    version_3(folder / 'my monday')
    version_2(folder / 'tuesday')
    (folder / 'robot.yaml').write_text(
        'cameras: {front: observation.images.front}\njoints: observation.state\nactions: action\ninstruction: task\n'
    )
    return folder


@pytest.fixture(scope='module')
def printed(folder):
    """What `aura train memory --from-bags` prints, run in the folder."""
    words = ['memory', '--from-bags', 'my monday', *BACKBONE, '--memory', 'both', '--mapping', 'robot.yaml', *QUICK]
    return run(folder, [sys.executable, '-m', 'aura_ros.train.main', *words])


def run(folder, words, shell=False):
    """Run a command as a user does, and return its output."""
    support = Path(__file__).parents[1] / 'support'
    path = os.pathsep.join(filter(None, [os.environ.get('PYTHONPATH'), str(support)]))
    environment = {
        **os.environ,
        'PYTHONPATH': path,
        'XDG_CACHE_HOME': str(folder / 'cache'),
        'PATH': os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']]),
        'COLUMNS': '500',
    }
    done = subprocess.run(words, shell=shell, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_both_memories_and_the_head_alone_are_trained(folder, printed):
    for kind in KINDS:
        weights = load_weights(kind, str(folder / f'my_weights/{kind}.safetensors'))
        assert weights.backbone_hash == OWN.backbone_hash
        assert f'my_weights/{kind}.safetensors: action error on the held-out parts ' in printed
    gains = [line for line in printed.splitlines() if ' over base' in line]
    assert [line.split()[0] for line in gains] == ['aura', 'kv']
    assert all('[' in line for line in gains), 'three episodes give an interval'
    assert 'is its action head without a memory (memoryless)' in gains[1]


def test_the_printed_command_runs_as_it_is_printed(folder, printed):
    (line,) = [line for line in printed.splitlines() if line.startswith('next, compare them: ')]
    out = run(folder, line.partition(': ')[2], shell=True)
    report = json.loads((folder / 'aura_replay/report.json').read_text())
    rows = {row['name']: row for row in report['summary']['policies']}
    assert list(rows) == ['base', 'aura', 'kv', 'kv-window', 'always', 'random', 'periodic', 'memoryless']
    hashes = {kind: load_weights(kind, str(folder / f'my_weights/{kind}.safetensors')).sha256 for kind in KINDS}
    assert {name: rows[name]['memory_hash'] for name in KINDS} == hashes
    assert rows['kv-window']['memory_hash'] == hashes['kv']
    assert {rows[name]['memory_hash'] for name in ('always', 'random', 'periodic')} == {hashes['aura']}
    assert list(report['left_out']) == ['elmur']
    assert [gain['name'] for gain in report['summary']['gains']] == ['aura', 'kv']
    for gain in report['summary']['gains']:
        assert gain['total']['mean'] == pytest.approx(gain['head']['mean'] + gain['memory']['mean'])
        assert gain['head']['mean'] == pytest.approx(
            rows['base']['error']['mean'] - rows['memoryless']['error']['mean']
        )
    out = ' '.join(out.split())
    assert all(text in out for text in report['gains'])
    assert 'were trained on this recording' in out


def test_the_printed_command_has_the_options_of_the_training(monkeypatch):
    options = Namespace(
        from_bags=[Path('my bag'), Path('b')],
        mapping=Path('topics.yaml'),
        robot=Path('robot.yaml'),
        instruction='put it back',
        backbone='own_vla:make',
        backbone_weights='vla.onnx',
    )
    monkeypatch.setenv(PROGRAM_MARK, './run')
    assert replay_command(options, {'kv': Path('w/kv.safetensors')}) == (
        "./run replay 'my bag' b --mapping topics.yaml --robot robot.yaml --instruction 'put it back' "
        '--backbone own_vla:make --backbone-weights vla.onnx --weights kv=w/kv.safetensors'
    )
    monkeypatch.delenv(PROGRAM_MARK)
    options = Namespace(
        from_bags=[Path('b')], mapping=None, robot=None, instruction='', backbone='embedded', backbone_weights=None
    )
    assert shlex.split(replay_command(options, {})) == ['aura', 'replay', 'b']


def test_another_memory_is_compared_with_the_same_head(folder, printed, tmp_path, capsys):
    words = ['--from-bags', str(folder / 'my monday'), *BACKBONE, '--mapping', str(folder / 'robot.yaml'), *QUICK]
    words += ['--output', str(tmp_path), '--work-dir', str(folder / 'build/train')]
    assert train(['memory', *words, '--memory', 'gru']) == 0
    head = (tmp_path / 'memoryless.safetensors').stat().st_mtime_ns
    assert train(['memory', *words, '--memory', 'lstm']) == 0
    assert (tmp_path / 'memoryless.safetensors').stat().st_mtime_ns == head, 'an equal one is not trained again'
    assert 'lstm gains' in capsys.readouterr().out
    assert train(['memory', *words, '--memory', 'ssm', '--holdout', '0.3']) == 2
    assert 'memoryless.safetensors exists and was trained on other data' in capsys.readouterr().err
    assert not (tmp_path / 'ssm.safetensors').exists()


def compare(folder, tmp_path, bag, *words):
    code = replay([str(folder / bag), '--cache', str(tmp_path / 'c'), '--output', str(tmp_path / 'out'), *words])
    report = tmp_path / 'out/report.json'
    return code, json.loads(report.read_text()) if report.exists() else None


def test_policies_of_another_backbone_are_left_out_with_the_reason(folder, tmp_path, capsys):
    code, report = compare(folder, tmp_path, 'tuesday', *BACKBONE)
    assert code == 0
    assert [row['name'] for row in report['summary']['policies']] == ['base']
    assert set(report['left_out']) == {'aura', 'kv', 'kv-window', 'always', 'random', 'periodic', 'elmur', 'memoryless'}
    out = ' '.join(capsys.readouterr().out.split())
    for name in ('aura', 'kv-window', 'random'):
        assert f'{name} is left out: its memory was trained for the backbone' in out
    assert '--weights kv-window=FILE' in report['left_out']['kv-window']


def test_a_policy_that_the_user_names_is_refused_with_the_reason(folder, tmp_path, capsys):
    assert compare(folder, tmp_path, 'tuesday', *BACKBONE, '--policies', 'kv')[0] == 2
    assert 'policy kv: its memory was trained for the backbone' in capsys.readouterr().err


def test_heads_of_other_recordings_are_not_compared(folder, printed, tmp_path):
    weights = [f'--weights={kind}={folder}/my_weights/{kind}.safetensors' for kind in KINDS]
    card = json.loads((folder / 'my_weights/memoryless.json').read_text())
    card['training']['recordings'][0]['sha256'] = 'ab' * 32
    other = tmp_path / 'memoryless.safetensors'
    other.write_bytes((folder / 'my_weights/memoryless.safetensors').read_bytes())
    other.with_suffix('.json').write_text(json.dumps(card))
    code, report = compare(folder, tmp_path, 'tuesday', *BACKBONE, *weights)
    assert (code, len(report['summary']['gains'])) == (0, 2)
    assert not any('were trained on this recording' in note for note in report['recordings'][0]['notes'])
    code, report = compare(folder, tmp_path, 'tuesday', *BACKBONE, *weights[:2], f'--weights=memoryless={other}')
    assert (code, report['summary']['gains']) == (0, [])
