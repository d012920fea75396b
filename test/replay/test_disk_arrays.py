# SPDX-License-Identifier: Apache-2.0
"""Arrays in files, whose pages can be returned to the kernel."""

from pathlib import Path

import numpy as np
import pytest

from aura_ros.common.errors import ConfigError
from aura_ros.replay.disk_arrays import DiskArrays


def resident_mb():
    pages = int(Path('/proc/self/statm').read_text(encoding='ascii').split()[1])
    return pages * 4096 / 1e6


def test_values_survive_a_release():
    arrays = DiskArrays()
    first, second = arrays.new((5, 3), np.float32, np.nan), arrays.new((5,), np.int64)
    assert np.isnan(first).all() and not second.any()
    first[2], second[4] = 7.0, -1
    arrays.release()
    assert first[2].tolist() == [7.0, 7.0, 7.0] and second.tolist() == [0, 0, 0, 0, -1]


def test_releasing_frees_memory():
    arrays = DiskArrays()
    before = resident_mb()
    array = arrays.new((4_000_000,), np.float64, np.nan)  # 32 MB
    assert resident_mb() < before + 8
    array[:] = 1.0
    assert resident_mb() > before + 24
    arrays.release()
    assert resident_mb() < before + 8
    assert array[::1000].sum() == 4000.0


def test_nothing_is_left_in_the_folder(tmp_path):
    arrays = DiskArrays(tmp_path)
    arrays.new((1000,), np.float32, np.nan)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_reported_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match=r'cannot allocate 40 bytes in .*another folder with --cache'):
        DiskArrays(tmp_path / 'missing').new((10,), np.float32)
    with pytest.raises(ConfigError, match=r'cannot allocate 8,000,000,000,000,000 bytes .*free some space'):
        DiskArrays(tmp_path).new((10**15,), np.float64)
