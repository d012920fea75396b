# SPDX-License-Identifier: Apache-2.0
"""aura state as its users run it."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors import safe_open

from aura_ros.memory import load_memory
from aura_ros.state.format import EMPTY_SLOT, FILE_BYTES, SLOT_BYTES, SLOTS, Snapshot
from aura_ros.state.main import main
from aura_ros.state.store import StateStore

LAYOUT, SIZE = '<f4[32,32] <f4[32]', 4224


def values(seq):
    """The values of the state `seq`: one differs from the state before."""
    numbers = np.arange(1056, dtype='<f4')
    numbers[7] += seq
    return numbers


@pytest.fixture
def path(tmp_path):
    """A file with the states 0, 1, 2 of the shipped memory; the newest is in slot 1."""
    file, memory = tmp_path / 'a.state', load_memory('aura')
    store = StateStore(file, memory.memory_hash, LAYOUT, SIZE)
    for seq in range(3):
        store.commit(Snapshot(values(seq).tobytes(), 'an\x1b[31m episode', seq, seq))
    store.close()
    return file


def damage(path, *slots):
    data = bytearray(path.read_bytes())
    for slot in slots:
        data[slot * SLOT_BYTES + 300] ^= 1
    path.write_bytes(data)


def test_inspect_shows_both_slots_and_changes_nothing(path, capsys):
    before = path.read_bytes()
    assert main(['inspect', str(path)]) == 0
    shown = capsys.readouterr().out
    assert 'slot 1 (newest)' in shown and '4,224' in shown and LAYOUT in shown
    assert '\x1b[31m' not in shown and r'\x1b[31m' in shown, 'what a file holds must not steer the terminal'
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_inspect_names_the_process_that_uses_the_file(path, capsys):
    store = StateStore(path, load_memory('aura').memory_hash, LAYOUT, SIZE)
    assert main(['inspect', str(path)]) == 0
    store.close()
    assert 'in use by process' in capsys.readouterr().out


def test_inspect_as_json(path, capsys):
    damage(path, 0)
    assert main(['inspect', str(path), '--json']) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found['newest_slot'], found['problem'], found['bytes']) == (1, '', FILE_BYTES)
    assert found['slots'][0] == {'slot': 0, 'holds': 'its CRC-32 does not match'}
    assert found['slots'][1]['seq'] == 2


@pytest.mark.parametrize(
    ('damaged', 'options', 'code', 'said'),
    [
        ((), [], 0, 'ok, step 2 of episode'),
        ((), ['--strict'], 0, 'ok, step 2'),
        ((), ['--memory', 'aura'], 0, 'ok, step 2'),
        ((), ['--memory', 'kv'], 1, 'belongs to the weights'),
        ((0,), [], 0, 'ok, step 2'),
        ((1,), [], 0, 'slot 1: its CRC-32 does not match'),
        ((1,), ['--strict'], 1, 'ok, step 1'),
        ((0, 1), [], 1, 'no intact state'),
    ],
)
def test_verify(path, capsys, damaged, options, code, said):
    damage(path, *damaged)
    assert main(['verify', str(path), *options]) == code
    assert said in capsys.readouterr().out


def test_verify_of_a_file_without_a_state(path, capsys):
    path.write_bytes(EMPTY_SLOT * SLOTS)
    assert main(['verify', str(path)]) == 1
    assert 'nothing was saved yet' in capsys.readouterr().out
    assert main(['inspect', str(path)]) == 0


def test_export_of_arrays_with_the_header(path, tmp_path):
    target = tmp_path / 'w.safetensors'
    assert main(['export', str(path), str(target)]) == 0
    with safe_open(target, 'numpy') as file:
        np.testing.assert_array_equal(file.get_tensor('array0'), values(2)[:1024].reshape(32, 32))
        np.testing.assert_array_equal(file.get_tensor('array1'), values(2)[1024:])
        assert (file.metadata()['seq'], file.metadata()['layout']) == ('2', LAYOUT)


def test_export_of_one_slot_as_bytes_never_overwrites(path, tmp_path, capsys):
    target = tmp_path / 'w.bin'
    assert main(['export', f'{path}@0', str(target)]) == 0
    assert target.read_bytes() == values(1).tobytes()
    assert main(['export', str(path), str(target)]) == 2
    assert target.read_bytes() == values(1).tobytes()
    assert 'File exists' in capsys.readouterr().err


def test_diff(path, tmp_path, capsys):
    assert main(['diff', f'{path}@0', str(path)]) == 1
    shown = capsys.readouterr().out
    assert '1 of 1,024' in shown and '0 of 32' in shown and 'generation' in shown
    copy = tmp_path / 'copy'
    copy.write_bytes(path.read_bytes())
    assert main(['diff', str(path), str(copy)]) == 0
    assert 'equal bit for bit' in capsys.readouterr().out


def test_diff_detects_the_sign_of_zero(tmp_path):
    for name, number in (('a', 0.0), ('b', -0.0)):
        store = StateStore(tmp_path / name, 'ab' * 32, '<f4[2]', 8)
        store.commit(Snapshot(np.array([number, 1], '<f4').tobytes(), 'e', 0, 0))
        store.close()
    assert main(['diff', str(tmp_path / 'a'), str(tmp_path / 'b')]) == 1


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['inspect', '{folder}/nothing'], 'No such file'),
        (['export', '{path}', '{folder}/w.txt'], 'must end in .safetensors or .bin'),
        (['diff', '{path}', '{folder}/other'], 'cannot be compared'),
        (['diff', '{path}@0', '{folder}/empty@1'], 'slot 1 has no state: it is empty'),
    ],
)
def test_an_error_names_its_cause(path, tmp_path, capsys, arguments, said):
    store = StateStore(tmp_path / 'other', 'ab' * 32, '<f4[2]', 8)
    store.commit(Snapshot(bytes(8), 'e', 0, 0))
    store.close()
    (tmp_path / 'empty').write_bytes(EMPTY_SLOT * SLOTS)
    assert main([word.format(path=path, folder=tmp_path) for word in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith('aura state: ') and said in error


def test_help_shows_every_command_by_example(capsys):
    with pytest.raises(SystemExit) as ended:
        main(['--help'])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(f'aura state {command} ' in shown for command in ('inspect', 'verify', 'export', 'diff'))


def test_runs_as_a_module_without_ros(path):
    code = (
        'import sys; sys.modules["rclpy"] = sys.modules["torch"] = None; '
        'from aura_ros.state.main import main; sys.exit(main(sys.argv[1:]))'
    )
    command = [sys.executable, '-c', code, 'verify', str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, '')
