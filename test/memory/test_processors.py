# SPDX-License-Identifier: Apache-2.0
"""The memory with the kernels of other processors: the same decisions, and numbers that are close."""

import os
import subprocess
import sys

import numpy as np
import pytest
from close import assert_close

STEPS = 200
PROGRAM = f"""
import sys
import numpy as np
from aura_ros.memory import load_memory
memory, random = load_memory(sys.argv[1]), np.random.default_rng(16)
scenes = random.standard_normal((6, memory.feature_dim))
decisions = []
for _ in range({STEPS}):
    features = scenes[random.integers(6)] + 0.5 * random.standard_normal(memory.feature_dim)
    base = random.uniform(-0.5, 0.5, (8, 8))
    decisions.append(memory.step(features.astype(np.float32), base.astype(np.float32)))
columns = {{name: [getattr(each, name) for each in decisions] for name in ('action', 'gate', 'written')}}
np.savez(sys.argv[2], state=np.frombuffer(memory.export(), '<f4'), **columns)
"""


def _run(kind, path, kernels):
    """Return the output of the memory `kind` for the same steps, computed in a separate process."""
    environment = {name: value for name, value in os.environ.items() if name != 'OPENBLAS_CORETYPE'}
    command = [sys.executable, '-c', PROGRAM, kind, str(path)]
    subprocess.run(command, env=environment | kernels, check=True, timeout=100)
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.mark.parametrize('kind', ['aura', 'kv'])
def test_kernels_of_older_processors_change_the_last_bits_only(kind, tmp_path):
    """Prescott has SSE3 alone; every x86-64 processor can run it, and others do not read the variable."""
    here = _run(kind, tmp_path / 'here.npz', {})
    there = _run(kind, tmp_path / 'there.npz', {'OPENBLAS_CORETYPE': 'Prescott'})
    np.testing.assert_array_equal(there['written'], here['written'])
    for name in ('action', 'gate', 'state'):
        assert_close(there[name], here[name], what=name)


def test_the_same_machine_repeats_itself_to_the_bit(tmp_path):
    one, other = (_run('aura', tmp_path / f'{name}.npz', {}) for name in ('one', 'other'))
    for name, values in one.items():
        np.testing.assert_array_equal(other[name], values)
