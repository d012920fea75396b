# SPDX-License-Identifier: Apache-2.0
"""What demonstrations teach beside the actions: colours that are due, and the lamp that a step asks for."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch')
import torch.nn.functional as F  # noqa: E402

from aura_ros.common.names import EventKind  # noqa: E402
from aura_ros.train.lessons import NOTHING, UNKNOWN, Labels, Lessons, key_loss, labels_of  # noqa: E402
from aura_ros.train.matching import build_module  # noqa: E402
from aura_ros.train.modules import Sizes  # noqa: E402
from aura_ros.train.recolour import Recolour  # noqa: E402
from aura_ros.train.sequences import Stream, collate, name_waits  # noqa: E402

SIZES = Sizes(feature_dim=6, chunk_size=1, action_dim=2, code_dim=8, head_width=8, gate_width=4)


def columns(steps=9, **given):
    """Return the columns of an episode of one round, in which nothing is shown or asked for but what is given."""
    none = {name: np.full(steps, -1) for name in ('light', 'colour', 'answer', 'event')}
    return none | {name: np.zeros(steps, int) for name in ('round', 'since')} | given


def at(steps=9, **values):
    """Return -1, and a value at each step that is named: at(s2=1) is 1 at step 2."""
    found = np.full(steps, -1)
    for name, value in values.items():
        found[int(name[1:])] = value
    return found


def test_the_colours_of_a_sequence_are_due_in_order_until_they_are_touched_or_the_round_ends():
    found = labels_of(
        'sequence',
        columns(
            light=at(s0=0, s1=0, s3=0, s8=0),
            colour=at(s0=2, s1=2, s3=1, s8=0),
            event=at(s0=EventKind.CUE, s3=EventKind.CUE, s5=EventKind.PART, s6=EventKind.ROUND_SUCCESS),
            round=np.array([0] * 7 + [1] * 2),
        ),
    )
    none = NOTHING
    assert [row.tolist() for row in found['due'][[0, 2, 3, 5, 6, 7, 8]]] == [
        [2, none, none, none],
        [2, none, none, none],
        [2, 1, none, none],
        [1, none, none, none],
        [UNKNOWN] * 4,
        [UNKNOWN] * 4,
        [0, none, none, none],
    ]
    assert set(found['shown']) == set(found['asked']) == {UNKNOWN}


def test_a_colour_of_recall_can_be_due_from_its_cue_to_the_end_of_the_round():
    rounds = np.array([0] * 5 + [1] * 4)
    given = columns(light=at(s1=0, s2=0, s3=2, s7=0), colour=at(s1=2, s2=2, s3=0, s7=1), round=rounds, answer=at(s4=2))
    due = labels_of('recall', given)['due']
    assert due[:, 0].tolist() == at(s4=2).tolist()
    z = np.zeros((9, 1), np.float32)
    chunks = z[:, None]
    arrays = {name: given[name] for name in ('light', 'colour', 'event', 'round')}
    stream = Stream('recall', z, chunks, chunks, go=z[:, 0] > 0, due=due, **arrays)
    named = name_waits(stream).due
    assert named[:, 0].tolist() == at(s1=2, s2=2, s3=2, s4=2, s7=1, s8=1).tolist(), 'the lamp at step 3 is no beacon'
    assert (named[:, 1:] == UNKNOWN).all() and (due[:3] == UNKNOWN).all(), 'the given stream is unchanged'
    other = replace(stream, task='both')
    assert name_waits(other) is other


def test_a_step_of_many_asks_for_the_lamp_whose_colour_it_needs():
    light, event = at(s0=1, s1=1, s2=3), at(s0=EventKind.CUE, s2=EventKind.CUE)
    given = columns(light=light, event=event, answer=at(s5=2, s6=0), since=np.array([0] * 6 + [2] * 3))
    found = labels_of('many', given)
    assert found['shown'].tolist() == [1, -1, 3, *[-1] * 6], 'only the first step of a cue is written'
    assert found['asked'].tolist() == at(s5=1, s6=3).tolist()
    assert found['due'][:, 0].tolist() == at(s5=2, s6=0).tolist() and (found['due'][:, 1:] == UNKNOWN).all()


def test_new_colours_are_due_in_place_of_the_old_ones():
    steps = np.arange(4, dtype=np.float32)
    given = columns(4, light=np.array([0, 0, -1, -1]), colour=np.array([0, 1, -1, -1]), answer=np.array([-1, -1, 0, 1]))
    stream = Stream(
        'sequence',
        steps[:, None],
        steps[:, None, None],
        steps[:, None, None],
        np.array([EventKind.CUE, EventKind.CUE, -1, -1]),
        given['round'],
        np.array([False, False, True, True]),
        named=np.zeros((4, 3, 1, 1), np.float32),
        **{name: given[name] for name in ('light', 'colour', 'answer')},
    )
    cues = replace(stream, light=np.array([0, 0, 0, -1]), colour=np.array([0, 1, 2, -1]))
    taught = replace(stream, due=np.array([[0, 3, 3, 3], [0, 1, 3, 3], [0, 1, 3, 3], [1, 3, 3, -1]]))
    recolour, seen = Recolour([cues], 1.0, np.random.default_rng(0)), set()
    for _ in range(30):
        other, kept = recolour((taught, np.arange(4)))
        first, second = (int(z) for z in other.z[:2, 0])  # the features of a cue are the number of its colour
        seen.add((first, second))
        assert other.due[kept].tolist() == [[first, 3, 3, 3], *[[first, second, 3, 3]] * 2, [second, 3, 3, -1]]
    assert len(seen) == 6


def test_steps_that_do_not_count_teach_nothing():
    one = Stream(
        'many',
        np.zeros((3, 1), np.float32),
        *[np.zeros((3, 1, 1), np.float32)] * 2,
        np.full(3, -1),
        np.zeros(3, int),
        np.array([False, True, True]),
        since=np.array([0, -2, 0]),
        due=np.full((3, 4), 1),
        shown=np.full(3, 2),
        asked=np.full(3, 2),
    )
    plain = replace(one, due=None, shown=None, asked=None)
    labels = collate([(one, np.arange(3)), (plain, np.arange(2))], 0.25).labels
    assert labels.shown.tolist() == labels.asked.tolist() == [[2, -1, 2], [-1, -1, -1]]
    assert labels.due[0, :, 0].tolist() == [1, -1, 1] and (labels.due[1] == UNKNOWN).all()


def test_the_loss_of_keys_is_small_where_the_keys_of_a_lamp_match_and_those_of_others_do_not():
    shown, asked = torch.tensor([[1, 2, 1, -1]]), torch.tensor([[-1, -1, -1, 2]])
    labels = Labels(torch.full((1, 4, 4), UNKNOWN), shown, asked)
    lamps = F.one_hot(torch.tensor([[0, 1, 0, 1]]), 3).float()
    good = key_loss(lamps, lamps, labels)
    wrong_query = lamps.clone()
    wrong_query[0, 3] = lamps[0, 0]
    assert good < 0.1 < key_loss(lamps, wrong_query, labels) - good
    assert good < 0.1 < key_loss(torch.ones_like(lamps) / 3**0.5, lamps, labels) - good
    nothing = Labels(labels.due, torch.full_like(shown, UNKNOWN), torch.full_like(asked, UNKNOWN))
    assert key_loss(lamps, lamps, nothing) == 0, 'without a lamp there is nothing to learn'


@pytest.mark.parametrize('kind', ['aura', 'kv', 'memoryless'])
def test_lessons_train_every_memory_and_leave_no_part_in_it(kind):
    torch.manual_seed(0)
    model = build_module(kind, SIZES, **({'addressing': 'content'} if kind == 'aura' else {}))
    names = set(model.state_dict())
    lessons = Lessons(model.readout_dim, 0.3, 0.1)
    rollout = model(
        torch.randn(2, 5, 6), torch.zeros(2, 5, 1, 2), schedule=torch.ones(2, 5) if kind == 'aura' else None
    )
    due = torch.full((2, 5, 4), UNKNOWN)
    due[:, 3:, 0] = 1
    shown, asked = torch.full((2, 5), UNKNOWN), torch.full((2, 5), UNKNOWN)
    shown[:, :2], asked[:, 3] = torch.tensor([1, 2]), 1
    loss = lessons.loss(model, rollout, Labels(due, shown, asked))
    loss.backward()
    assert loss > 0
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    assert set(model.state_dict()) == names
