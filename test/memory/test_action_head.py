# SPDX-License-Identifier: Apache-2.0
"""The action head by mode: what an override leaves of a motion, and how a binary gripper stays within its range."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aura_ros.common.action_spec import ActionComponent
from aura_ros.memory import MemorySession, Step, StepRefused
from aura_ros.memory.layers import ActionHead
from aura_ros.memory.none import NoMemory

DELTAS = (
    ActionComponent('translation', 3, 'ee_position', 'delta', unit='m'),
    ActionComponent('rotation', 4, 'ee_rotation', 'delta', rotation='quaternion_xyzw'),
    ActionComponent('gripper', 1, 'gripper', 'absolute', range=(-1.0, 1.0), binary=True, closes='high'),
)
CHUNK, COLUMNS = 5, 8


def head(components, override: float, shift: float = 0.0) -> ActionHead:
    """A head whose answer does not depend on its inputs: its override as a logit, and a shift of every column."""
    width = 4
    zero = {'features': (width, 3 + COLUMNS + CHUNK * COLUMNS), 'modulation': (2 * width, 2), 'hidden': (width, width)}
    weights = {}
    for name, (rows, columns) in zero.items():
        weights |= {f'head.{name}.weight': np.zeros((rows, columns), np.float32)}
        weights |= {f'head.{name}.bias': np.zeros(rows, np.float32)}
    bias = np.full(CHUNK * COLUMNS + 1, shift, np.float32)
    bias[-1] = override
    weights |= {'head.output.weight': np.zeros((CHUNK * COLUMNS + 1, width), np.float32), 'head.output.bias': bias}
    return ActionHead.of(weights | {'action_scale': np.full(COLUMNS, 0.5, np.float32)}, components)


def chunk_of(head: ActionHead, base: np.ndarray) -> np.ndarray:
    return head(head.prepare(np.zeros(3, np.float32), base), np.zeros(2, np.float32), base)


@pytest.fixture
def base() -> np.ndarray:
    """A chunk that moves and turns all the time, with a gripper that closes in its middle."""
    chunk = np.full((CHUNK, COLUMNS), 0.1, np.float32)
    chunk[:, 3:7] = (0.0, 0.0, 0.1, 0.99)
    chunk[:, 7] = (-1, -1, 1, 1, 1)
    return chunk


def test_an_override_stops_a_motion_and_does_not_repeat_it(base):
    overridden = chunk_of(head(DELTAS, 60.0), base)
    np.testing.assert_allclose(overridden[:, :3], 0.0, atol=1e-6)
    np.testing.assert_allclose(overridden[:, 3:7], np.tile([0, 0, 0, 1], (CHUNK, 1)), atol=1e-6)
    # As absolute targets, the same chunk stays at its first action.
    np.testing.assert_allclose(chunk_of(head((), 60.0), base), np.tile(base[0], (CHUNK, 1)), atol=1e-6)


def test_without_override_the_base_motion_passes(base):
    kept = chunk_of(head(DELTAS, -60.0), base)
    np.testing.assert_allclose(kept[:, :7], base[:, :7], atol=1e-6)
    assert np.array_equal(np.sign(kept[:, 7]), base[:, 7]) and np.abs(kept[:, 7]).min() > 0.9


@pytest.mark.parametrize(('shift', 'sign'), [(-9.0, -1), (9.0, 1)])
def test_a_binary_gripper_is_a_logit_within_its_range(base, shift, sign):
    chunk = chunk_of(head(DELTAS, 0.0, shift), base)
    assert np.array_equal(np.sign(chunk[:, 7]), np.full(CHUNK, sign))
    assert np.abs(chunk[:, 7]).max() <= 1.0


def _step(components) -> Step:
    features, base = np.zeros(3, np.float32), np.zeros((CHUNK, COLUMNS), np.float32)
    return Step('6f9c0e8e-0000-4000-8000-000000000001', 0, 1, features, base, 0.05, components=components)


def test_a_step_of_other_actions_is_refused_with_both_specs():
    memory = NoMemory(3, (CHUNK, COLUMNS))
    MemorySession(memory).apply(_step(DELTAS))  # passes everything through
    memory.components = ()
    session = MemorySession(memory)
    with pytest.raises(StepRefused) as refused:
        session.apply(_step(DELTAS))
    assert '3 x delta ee_position' in str(refused.value) and '[absolute joint targets]' in str(refused.value)
    memory.components = (replace(DELTAS[0], name='other label'), *DELTAS[1:])
    assert session.apply(_step(DELTAS)).verdict.apply
    with pytest.raises(StepRefused, match='absolute joint targets'):
        MemorySession(memory).apply(_step(()))
