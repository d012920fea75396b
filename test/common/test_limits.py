# SPDX-License-Identifier: Apache-2.0
"""Files of text, arrays and weights beyond a limit are refused with one sentence."""

import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aura_ros.common import files, text_files
from aura_ros.common.errors import ConfigError
from aura_ros.common.files import open_arrays, replace_arrays
from aura_ros.common.text_files import read_bytes, reason
from aura_ros.common.yaml_lines import parse_yaml

pytestmark = pytest.mark.fault('F33')


@pytest.mark.parametrize(
    'text', ['a: 1' + ':1' * 100_000, 'a: !!int "1' + ':59' * 100_000 + '"', 'a: ' + '1' * 100_000]
)
def test_a_long_integer_is_refused_at_once(text: str, measured: Callable[[str], None]) -> None:
    since = time.thread_time()
    with pytest.raises(ConfigError, match='limited to 64 characters'):
        parse_yaml(text, 'x.yaml')
    measured(f'YAML integer of {len(text):,} characters: refused after {time.thread_time() - since:.2f} s')


def test_ordinary_integers_are_read() -> None:
    found = parse_yaml('[0, -7, 0x1F, 1_000, 1:30:00, 18446744073709551615]', 'x.yaml')
    assert found == [0, -7, 31, 1000, 5400, 2**64 - 1]


def test_arrays_that_unpack_to_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'x.npz'
    np.savez_compressed(path, zeros=np.zeros(4_000_000, np.uint8))
    with open_arrays(path) as arrays:
        assert arrays['zeros'].size == 4_000_000
    monkeypatch.setattr(files, 'PARTS_BYTES', 1000)
    monkeypatch.setattr(files, 'FILE_RATIO', 100)
    with pytest.raises(ConfigError, match=r'x\.npz: unpacks to 4,000,128 bytes'), open_arrays(path):
        pytest.fail('it was opened')


def test_an_array_that_declares_more_than_it_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'x.npz'
    replace_arrays(path, {'x': np.zeros(1000)})
    with zipfile.ZipFile(path) as packed:
        data = packed.read('x.npy').replace(b'(1000,)', b'(9000000000000000,)').replace(b' ' * 12 + b'\n', b'\n')
    with zipfile.ZipFile(path, 'w') as packed:
        packed.writestr('x.npy', data)
    with pytest.raises(ConfigError, match=r'x\.npz: cannot be read'), open_arrays(path) as arrays:
        arrays['x'].sum()


@pytest.mark.parametrize('content', [b'', b'PK', b'not a zip file', bytes(1000)])
def test_a_file_without_arrays_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'x.npz'
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r'x\.npz: cannot be read'), open_arrays(path):
        pytest.fail('it was opened')


def test_a_sparse_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / 'weights'
    with path.open('wb') as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match='is larger than 1,000 bytes'):
        read_bytes(path, 1000)


def test_the_reason_of_an_exception_is_one_line_without_control_characters() -> None:
    assert reason(ValueError('a\n  b\x1b[2J')) == 'ValueError: a b\\x1b[2J'
    assert len(reason(ValueError('x' * 10_000))) == text_files._QUOTED
