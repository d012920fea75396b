# SPDX-License-Identifier: Apache-2.0
"""Files that are replaced as a whole."""

import numpy as np
import pytest

from aura_ros.common.files import replace_arrays, replace_text, replacing


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / 'a.txt'
    replace_text(path, 'old µ')
    with pytest.raises(KeyboardInterrupt), replacing(path) as part:
        part.write_text('half')
        assert path.read_text(encoding='utf-8') == 'old µ'
        raise KeyboardInterrupt
    assert path.read_text(encoding='utf-8') == 'old µ' and list(tmp_path.iterdir()) == [path]
    replace_text(path, 'new')
    assert path.read_text() == 'new' and list(tmp_path.iterdir()) == [path]


def test_arrays_keep_the_given_name(tmp_path):
    replace_arrays(tmp_path / 'a.npz', {'x': np.arange(3)})
    assert list(tmp_path.iterdir()) == [tmp_path / 'a.npz']
    with np.load(tmp_path / 'a.npz', allow_pickle=False) as found:
        np.testing.assert_array_equal(found['x'], [0, 1, 2])


def test_two_programs_that_write_one_file_at_a_time_do_not_mix(tmp_path):
    path = tmp_path / 'a.txt'
    with replacing(path) as first, replacing(path) as second:
        first.write_text('first')
        second.write_text('second')
    assert path.read_text() == 'first', 'the block that ends last wins'
    assert list(tmp_path.iterdir()) == [path]
