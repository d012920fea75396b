# SPDX-License-Identifier: Apache-2.0
"""The shipped weights of the hard setting, step by step as on a robot, without torch."""

import json

import numpy as np

from aura_ros.bench.streams import CLASSES, Kind, draw, generator
from aura_ros.bench.synthetic import HARD, shipped_weights
from aura_ros.memory import load_memory


def test_shipped_memory_writes_events_and_answers():
    streams = draw(HARD, 4, HARD.length, generator('validation', 77))
    memory = load_memory('aura', str(shipped_weights()))
    base = np.zeros((1, CLASSES), np.float32)
    right, written = [], []
    for z, target in zip(streams.z, streams.target, strict=True):
        memory.reset()
        decisions = [memory.step(part, base) for part in z]
        written.append([decision.written for decision in decisions])
        answers = np.array([decision.action[0].argmax() for decision in decisions])
        right.append((answers == target)[target >= 0])
    fired = np.array(written)
    assert np.concatenate(right).mean() > 0.95
    assert fired[streams.events].mean() > 0.95
    assert fired[streams.kind == Kind.REPEAT].mean() < 0.1
    assert fired[streams.kind == Kind.DISTRACTOR].mean() < 0.03
    assert fired.sum() < 1.25 * streams.events.sum()
    assert memory.state_bytes == 4224


def test_card_has_the_setting_of_the_benchmark():
    card = json.loads(shipped_weights().with_suffix('.json').read_text())
    assert card['setting'] == HARD.__dict__
    assert card['figures']['seed'] == 0, 'the first seed, not the best'
