# SPDX-License-Identifier: Apache-2.0
"""Other colours for the scenes of the demonstrations."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('torch')

from aura_ros.common.names import EventKind
from aura_ros.train.recolour import Recolour, find_colours
from aura_ros.train.sequences import Stream, _features, load_streams

MANY = 'touch the block that has the colour the {} lamp last showed'


def labels(beacon=None, lamps=None, steps=8):
    """Return the columns `scene` and `lamps` of an episode; lights are dark but at {step: colour}."""
    scene, shown = np.zeros((steps, 25), np.float32), np.zeros((steps, 3, 4), np.float32)
    scene[:, 16], shown[..., 0] = 1, 1
    for t, colour in (beacon or {}).items():
        scene[t, 16:20] = np.eye(4)[1 + colour]
    for (t, lamp), colour in (lamps or {}).items():
        shown[t, lamp] = np.eye(4)[1 + colour]
    return {
        'scene': scene,
        'lamps': shown,
        'event': np.full(steps, -1),
        'round': np.zeros(steps, int),
        'go': np.zeros(steps, bool),
    }


def test_the_parts_of_a_sequence_ask_for_its_colours_in_order_and_a_new_round_begins_again():
    arrays = labels({0: 2, 2: 0, 6: 1})
    arrays['go'][[3, 4, 7]] = True
    arrays['event'][4] = EventKind.PART
    arrays['round'][5:] = 1
    found = find_colours(arrays, np.array([''] * 8), 'sequence')
    assert found['light'].tolist() == [0, -1, 0, -1, -1, -1, 0, -1]
    assert found['answer'].tolist() == [-1, -1, -1, 2, 0, -1, -1, 1]


def test_a_lamp_is_asked_for_by_its_name_and_the_beacon_by_the_words_of_recall():
    arrays = labels({1: 1}, {(0, 0): 2, (2, 2): 0})
    arrays['go'][4:] = True
    texts = np.array(['watch'] * 4 + [MANY.format('left'), MANY.format('right'), MANY.format('middle'), 'put it back'])
    assert find_colours(arrays, texts, 'many')['answer'].tolist()[4:] == [2, 0, -1, -1]
    texts = np.array(['watch'] * 6 + ['touch the block that has the colour of the beacon', 'put it back'])
    found = find_colours(arrays, texts, 'both')
    assert found['answer'].tolist()[4:] == [-1, -1, 1, -1]
    assert found['light'].tolist() == [-1, 0, *[-1] * 6], 'lamps are no cues in this task'


class Backbone:
    """A backbone whose outputs are zero."""

    spec = SimpleNamespace(backbone_hash='0' * 64)

    def infer_batch(self, front, *_):
        return np.zeros((len(front), 1), np.float32), np.zeros((len(front), 1, 1), np.float32)


def episode():
    """Return the columns of an episode with a cue and without a question."""
    arrays = labels({0: 1}) | {name: np.zeros((8, 2), np.float32) for name in ('front', 'wrist', 'joints')}
    return arrays | {
        'actions': np.ones((8, 1, 1), np.float32),
        'instruction': np.zeros(8, int),
        'texts': np.array(['watch']),
    }


def test_features_without_the_columns_of_colours_are_computed_again(tmp_path):
    demonstrations = tmp_path / 'demonstrations' / 'train-recall'
    demonstrations.mkdir(parents=True)
    np.savez(demonstrations / '00000.npz', **episode())
    load_streams(Backbone(), tmp_path, 'train', 'recall')
    (kept,) = (tmp_path / 'features').glob('*/train-recall/00000.npz')
    with np.load(kept) as arrays:
        np.savez(kept, **{name: arrays[name] for name in ('z', 'base', 'expert', 'event', 'round', 'go', 'since')})
    (stream,) = load_streams(Backbone(), tmp_path, 'train', 'recall')
    assert stream.named is not None and stream.light is not None
    written = kept.stat().st_mtime_ns
    load_streams(Backbone(), tmp_path, 'train', 'recall')
    assert kept.stat().st_mtime_ns == written, 'whole features are kept'


def test_an_episode_that_asks_for_no_colour_has_features_and_is_not_recoloured():
    columns = _features(Backbone(), episode(), 1, 'recall')
    assert columns['named'].shape == (8, 3, 1, 1) and not columns['named'].any()
    one = Stream('recall', **columns)
    other, _ = Recolour([one], 1.0, np.random.default_rng(0))((one, np.arange(8)))
    assert (other.expert == one.expert).all()


def stream():
    """Six steps: a cue of each colour, and an answer of each; features and labels name their step and colour."""
    steps = np.arange(6, dtype=np.float32)
    named = np.broadcast_to(np.array([10, 11, 12], np.float32)[:, None, None], (6, 3, 1, 1)).copy()
    return Stream(
        'recall',
        steps[:, None],
        steps[:, None, None],
        steps[:, None, None],
        np.full(6, -1),
        np.zeros(6, int),
        np.array([False] * 3 + [True] * 3),
        named=named,
        light=np.array([0, 0, 0, -1, -1, -1]),
        colour=np.array([0, 1, 2, -1, -1, -1]),
        answer=np.array([-1, -1, -1, 0, 1, 2]),
    )


def test_cues_and_answers_get_the_same_other_colours():
    one, seen = stream(), set()
    recolour = Recolour([one], 1.0, np.random.default_rng(0))
    for _ in range(30):
        other, steps = recolour((one, np.arange(6)))
        assert steps.tolist() == list(range(6))
        order = other.z[:3, 0].astype(int).tolist()
        seen.add(tuple(order))
        assert sorted(order) == [0, 1, 2]
        assert [float(other.expert[3 + c, 0, 0]) for c in range(3)] == [
            3 + c if order[c] == c else 10 + order[c] for c in range(3)
        ], 'an answer that stays keeps the action of the expert'
    assert len(seen) == 6
    assert one.z[:, 0].tolist() == list(range(6)), 'the demonstrations stay as they are'


def test_a_share_of_none_and_tasks_without_colours_change_nothing():
    one = stream()
    part = (one, np.arange(6))
    assert Recolour([one], 0.0, np.random.default_rng(0))(part) is part
    plain = (replace(one, named=None, light=None, colour=None, answer=None), np.arange(6))
    assert Recolour([plain[0]], 1.0, np.random.default_rng(0))(plain) is plain
