# SPDX-License-Identifier: Apache-2.0
"""Wear of the storage by a durable state, by our count and by the kernel's."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from aura_ros.state.format import Snapshot
from aura_ros.state.store import StateStore
from aura_ros.state.wear import PAGE_BYTES, WearMeter, cache_wear

HOUR_S = 3600.0


def test_a_steady_rate_does_not_depend_on_the_time():
    meter = WearMeter(1000.0)
    for second in range(3 * 3600):
        meter.add(8192, 4224, 1000.0 + second)
        if second in (100, 1800, 3599, 7200, 3 * 3600 - 1):
            assert meter.per_hour(1000.0 + second) == pytest.approx(8192 * HOUR_S, rel=0.03)
    assert (meter.commits, meter.device_bytes, meter.logical_bytes) == (10800, 10800 * 8192, 10800 * 4224)


def test_the_rate_is_of_the_last_hour():
    meter = WearMeter(0.0)
    meter.add(1_000_000, 0, 10.0)
    meter.add(2_000, 0, 3 * HOUR_S)
    assert meter.per_hour(3 * HOUR_S) == 2_000
    assert meter.per_hour(5 * HOUR_S) == 0


def test_one_commit_just_after_the_start_does_not_inflate_the_rate():
    meter = WearMeter(0.0)
    meter.add(8192, 4224, 0.001)
    assert meter.per_hour(0.002) == 8192 * 60


def test_storage_life():
    meter = WearMeter(0.0)
    assert math.isinf(meter.storage_life_years(6e12, HOUR_S))
    # peers' arithmetic: both slots' scheme at 10 Hz around the clock is 2.6 TB a year, so 6 TB last 2.3 years
    for tick in range(36_000):
        meter.add(8192, 4224, tick * 0.1)
    assert meter.storage_life_years(6e12, HOUR_S) == pytest.approx(2.32, rel=0.02)


@pytest.mark.parametrize(
    ('steps', 'entry', 'every', 'device'),
    [
        (100, 256, 1, 100 * 2 * PAGE_BYTES),  # a page of data, a page of the file's length
        (160, 256, 16, 10 * 2 * PAGE_BYTES),
        (160, 256, 32, 5 * 3 * PAGE_BYTES),
        (0, 256, 1, 0),
    ],
)
def test_a_cache_costs_whole_pages(steps, entry, every, device):
    assert cache_wear(steps, entry, every).device_bytes == device
    assert cache_wear(steps, entry, every).logical_bytes == steps * entry


@pytest.mark.parametrize('length', [1, 64, 100, 300, 4096, 5000])
def test_the_pages_of_a_log_are_counted_exactly(length):
    steps = 4096
    touched = sum(
        (begin + length - 1) // PAGE_BYTES - begin // PAGE_BYTES + 1 for begin in range(0, steps * length, length)
    )
    assert cache_wear(steps, length).device_bytes == (touched + steps) * PAGE_BYTES


def kernel_written_bytes():
    """Bytes that this process caused to be written, by the kernel's count; None if it does not count.

    File systems in memory do not count, and neither does the overhead of a journal.
    """
    try:
        text = Path('/proc/self/io').read_text(encoding='ascii')
    except OSError:
        return None
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith('write_bytes:')), None)


def kernel_counts(folder):
    """Whether the kernel counts what is written in a folder."""
    before = kernel_written_bytes()
    if before is None:
        return False
    with (folder / 'probe').open('wb') as file:
        file.write(bytes(PAGE_BYTES))
        file.flush()
        os.fsync(file.fileno())
    return kernel_written_bytes() > before


def test_the_meter_agrees_with_the_kernel(tmp_path):
    if not kernel_counts(tmp_path):
        pytest.skip(f'the kernel does not count what is written in {tmp_path}')
    store = StateStore(tmp_path / 'state', 'ab' * 32, '<f4[32,32] <f4[32]', 4224)
    rng = np.random.default_rng(0)
    meter, before = WearMeter(0.0), kernel_written_bytes()
    for seq in range(200):
        payload = rng.normal(size=1056).astype('<f4').tobytes()
        meter.add(store.commit(Snapshot(payload, 'e', seq, seq)).device_bytes, len(payload), float(seq))
    counted = kernel_written_bytes() - before
    store.close()
    assert meter.device_bytes == pytest.approx(counted, rel=0.2), f'the kernel counts {counted:,} bytes'


def test_the_wear_of_a_log_agrees_with_the_kernel(tmp_path):
    """The data pages; the kernel counts those of the file's length for its journal."""
    if not kernel_counts(tmp_path):
        pytest.skip(f'the kernel does not count what is written in {tmp_path}')
    steps = 200
    before = kernel_written_bytes()
    with (tmp_path / 'log').open('ab', buffering=0) as file:
        for _ in range(steps):
            file.write(bytes(256))
            os.fdatasync(file.fileno())
    counted = kernel_written_bytes() - before
    assert cache_wear(steps, 256).device_bytes - steps * PAGE_BYTES == pytest.approx(counted, rel=0.2)
