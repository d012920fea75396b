# SPDX-License-Identifier: Apache-2.0
"""A recording of version 0.1.0 gives the steps, drivers and writes that version 0.1.0 computed from it.

Floats of the memories have a tolerance, because other processors have other BLAS kernels. Recorded values are exact.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aura_ros.memory.weights import load_weights
from aura_ros.recordings.bags import Bag
from aura_ros.replay.disk_arrays import DiskArrays
from aura_ros.replay.drivers import drivers
from aura_ros.replay.evaluate import run_policies
from aura_ros.replay.live import recorded_writes
from aura_ros.replay.policies import PolicyOptions
from aura_ros.replay.steps.arrays import Steps
from aura_ros.replay.steps.guess import guess
from aura_ros.replay.steps.recorded import RecordedSteps, recorded_backbone
from aura_ros.vla import load_backbone

DATA = Path(__file__).parents[1] / 'data'
OLD_BAG, OLD_WEIGHTS = DATA / 'recording_0_1_0', DATA / 'weights_0_1_0'
STEPS = 244
EPISODES = {
    '9944480c-5e03-4476-a430-9981f14ceade': 82,
    'b6e8d6a3-a09a-465c-8d74-e6779b9cf6f0': 80,
    'bd2d2ed9-e647-4e98-890f-33eaec1df7bf': 82,
}
BASE_ACTIONS = 'ce2c1f5be1bdc4a9472223d9952f630f8fc661f969372da8a05e98592d554bd0'
# (episode, seq) of each write; None: every step
WRITES = {
    'base': [],
    'aura': [(0, 0), (1, 0), (2, 0)],
    'kv': None,
    'kv-window': None,
    'always': None,
    'random': [(1, 42), (1, 72), (2, 43)],
    'periodic': [(0, 0), (0, 81), (2, 0)],
}
FIGURES = {
    'gate': 0.8340145945549011,
    'threshold': 0.5,
    'surprise': 13.135570526123047,
    'action_change': 0.0013149568112567067,
    'delta_norm': 6.424563407897949,
}


@pytest.fixture(scope='module')
def spec():
    """The specification of the embedded backbone of 0.1.0. The test needs no output of it."""
    backbone_hash = load_weights('aura', str(OLD_WEIGHTS / 'aura.safetensors')).backbone_hash
    return replace(load_backbone('embedded', None).spec, feature_dim=256, backbone_hash=backbone_hash)


@pytest.fixture(scope='module')
def bag():
    with Bag(OLD_BAG) as opened:
        yield opened


@pytest.fixture(scope='module')
def steps(bag, spec):
    mapping = guess(bag, spec).mapping
    assert recorded_backbone(bag, mapping) == spec.backbone_hash
    stream = RecordedSteps(bag, mapping, spec)
    return Steps.of(stream.info, list(stream.rows(())))


@pytest.fixture(scope='module')
def runs(steps, spec):
    files = {name: 'kv' if name.startswith('kv') else 'aura' for name in WRITES if name != 'base'}
    weights = {name: OLD_WEIGHTS / f'{file}.safetensors' for name, file in files.items()}
    chunk = (spec.chunk_size, spec.action_dim)
    options = PolicyOptions(spec.feature_dim, chunk, spec.backbone_hash, weights, window=16)
    return run_policies(list(WRITES), options, steps, DiskArrays())


def test_the_steps_are_the_recorded_ones(steps):
    assert len(steps) == STEPS
    assert Counter(steps.episode_ids.tolist()) == EPISODES
    assert steps.seqs.tolist() == [seq for count in EPISODES.values() for seq in range(count)]
    assert hashlib.sha256(steps.base_actions.tobytes()).hexdigest() == BASE_ACTIONS


def test_the_old_policy_status_says_who_drove(bag, steps):
    assert drivers(bag, steps.stamps_ns) == {'base': 82 / STEPS, 'aura': 80 / STEPS, 'kv': 82 / STEPS}


@pytest.mark.parametrize('name', WRITES)
def test_each_memory_writes_at_the_same_steps(name, steps, runs):
    number = {episode: index for index, episode in enumerate(EPISODES)}
    every = [(number[str(episode)], int(seq)) for episode, seq in zip(steps.episode_ids, steps.seqs, strict=True)]
    written = [step for step, wrote in zip(every, runs[name].written.tolist(), strict=True) if wrote]
    assert written == (every if WRITES[name] is None else WRITES[name])


def test_the_replay_and_the_live_run_write_the_same(bag, runs):
    live, replayed = recorded_writes(bag), runs['aura'].writes
    assert [event.seq for event in live] == [write.seq for write in replayed] == [0, 0, 0]
    for event, write in zip(live, replayed, strict=True):
        assert (event.writes, event.bytes_written) == (write.writes, write.bytes_written) == (1, 4224)
        for name, value in FIGURES.items():
            assert getattr(event, name) == np.float32(value)
            assert getattr(write, name) == pytest.approx(value, rel=1e-4)
