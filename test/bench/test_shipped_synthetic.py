# SPDX-License-Identifier: Apache-2.0
"""The shipped weights of the hard setting, step by step as on a robot, without torch."""

import json

import numpy as np
import pytest

from aura_ros.bench.streams import CLASSES, Kind, draw, generator
from aura_ros.bench.synthetic import HARD, shipped_weights
from aura_ros.memory import load_memory


@pytest.mark.parametrize(('addressing', 'least', 'repeats'), [('dense', 0.95, 0.1), ('content', 0.99, 0.02)])
def test_shipped_memory_writes_events_and_answers(addressing, least, repeats):
    streams = draw(HARD, 4, HARD.length, generator('validation', 77))
    memory = load_memory('aura', str(shipped_weights(addressing)))
    base = np.zeros((1, CLASSES), np.float32)
    right, written = [], []
    for z, target in zip(streams.z, streams.target, strict=True):
        memory.reset()
        decisions = [memory.step(part, base) for part in z]
        written.append([decision.written for decision in decisions])
        answers = np.array([decision.action[0].argmax() for decision in decisions])
        right.append((answers == target)[target >= 0])
    fired = np.array(written)
    assert np.concatenate(right).mean() > least
    assert fired[streams.events].mean() > least
    assert fired[streams.kind == Kind.REPEAT].mean() < repeats
    assert fired[streams.kind == Kind.DISTRACTOR].mean() < 0.03
    assert fired.sum() < 1.25 * streams.events.sum()
    assert memory.state_bytes == 4224


@pytest.mark.parametrize('addressing', ['dense', 'content'])
def test_card_has_the_setting_of_the_benchmark(addressing):
    card = json.loads(shipped_weights(addressing).with_suffix('.json').read_text())
    assert card['setting'] == HARD.__dict__
    assert card['figures']['seed'] == 0, 'the first seed, not the best'
