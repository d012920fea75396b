# SPDX-License-Identifier: Apache-2.0
"""The session applies each step once; a refused step leaves no trace in the memory or in the step order."""

from dataclasses import replace

import fakes
import numpy as np
import pytest

from aura_ros.common.errors import ConfigError, InputError, StateError
from aura_ros.memory import MemorySession, Step, StepRefused, load_memory
from aura_ros.memory.schedules import Always
from aura_ros.memory.step_order import StepVerdict

FIRST, SECOND = 'first', 'second'


def make_step(memory, seq, episode=FIRST, seed=0, **changes):
    """A random step of the right shape."""
    rng = np.random.default_rng((seed, seq))
    features = rng.normal(size=memory.feature_dim).astype(np.float32)
    base = rng.normal(scale=0.1, size=memory.chunk_shape).astype(np.float32)
    step = Step(episode, seq, 1 + seq, features, base, 0.05, backbone_hash=memory.backbone_hash)
    return replace(step, **changes)


def trace(session):
    """All that a refused step must not change."""
    memory, order = session.memory, session.order
    age = memory.row_age.tolist() if hasattr(memory, 'row_age') else None
    return memory.export(), memory.writes, age, order.episode_id, order.seq, order.stamp_ns, order.missed


def nan(array):
    spoiled = array.copy()
    spoiled.flat[-1] = np.nan
    return spoiled


SPOILS = {
    'features nan': lambda step: replace(step, features=nan(step.features)),
    'features inf': lambda step: replace(step, features=step.features * np.float32(np.inf)),
    'features short': lambda step: replace(step, features=step.features[:-1]),
    'features none': lambda step: replace(step, features=step.features[:0]),
    'action nan': lambda step: replace(step, base_action=nan(step.base_action)),
    'action narrow': lambda step: replace(step, base_action=step.base_action[:, :-1]),
    'action short': lambda step: replace(step, base_action=step.base_action[:-1]),
    'foreign backbone': lambda step: replace(step, backbone_hash='cd' * 32),
    'no period': lambda step: replace(step, seconds_per_action=0.0),
    'period nan': lambda step: replace(step, seconds_per_action=float('nan')),
    'unstamped': lambda step: replace(step, stamp_ns=0),
    'not ASCII': lambda step: replace(step, episode_id=step.episode_id + 'ü'),
}


@pytest.fixture(params=['aura', 'kv', 'none', 'fakes:aura'])
def session(request):
    memory = load_memory(request.param)
    session = MemorySession(memory)
    for seq in range(20):
        session.apply(make_step(memory, seq))
    return session


@pytest.mark.fault('F5')
@pytest.mark.parametrize('episode', [FIRST, SECOND])
@pytest.mark.parametrize('spoil', SPOILS)
def test_a_refused_step_leaves_no_trace(session, spoil, episode):
    if spoil == 'foreign backbone' and not session.memory.backbone_hash:
        pytest.skip('this memory accepts any backbone')
    good = make_step(session.memory, 20 if episode == FIRST else 0, episode)
    before = trace(session)
    with pytest.raises(StepRefused) as refusal:
        session.apply(SPOILS[spoil](good))
    assert refusal.value.kind == ('unstamped' if spoil == 'unstamped' else 'rejected')
    assert trace(session) == before
    # the same number may follow as a good step, also as the first of its episode
    applied = session.apply(good)
    assert applied.verdict is (StepVerdict.NEXT if episode == FIRST else StepVerdict.NEW_EPISODE)
    assert (applied.skipped, applied.emptied) == (0, episode == SECOND)


def test_a_step_after_a_refused_one_follows_a_gap(session):
    step = make_step(session.memory, 20)
    with pytest.raises(StepRefused):
        session.apply(replace(step, features=nan(step.features)))
    applied = session.apply(make_step(session.memory, 21))
    assert (applied.verdict, applied.skipped, session.order.missed) == (StepVerdict.AFTER_GAP, 1, 1)


def test_a_step_out_of_order_is_refused_under_its_verdict(session):
    with pytest.raises(StepRefused, match='step 3 of first was ignored: it was applied before') as refusal:
        session.apply(make_step(session.memory, 3))
    assert refusal.value.kind == 'duplicate'


def test_a_new_episode_resets_the_memory_or_keeps_it():
    memory = fakes.aura()
    session = MemorySession(memory)
    session.apply(make_step(memory, 0))
    assert session.apply(make_step(memory, 0, SECOND)).emptied and memory.seen == 1
    session.reset_on_new_episode = False
    assert not session.apply(make_step(memory, 0, 'third')).emptied and memory.seen == 2


def test_a_reset_keeps_the_order_and_a_restored_state_continues():
    memory = load_memory('aura')
    session = MemorySession(memory)
    for seq in range(10):
        session.apply(make_step(memory, seq))
    saved = memory.export(), memory.writes, session.order.episode_id, session.order.seq
    session.reset()
    assert memory.writes == 0 and not any(memory.export())
    assert session.apply(make_step(memory, 10)).verdict is StepVerdict.NEXT
    other = MemorySession(load_memory('aura'))
    other.restore(*saved)
    assert (other.memory.export(), other.memory.writes) == saved[:2]
    applied = other.apply(make_step(memory, 10))
    assert applied.verdict is StepVerdict.NEXT and not applied.emptied
    with pytest.raises(StateError):
        other.restore(b'short', 0, FIRST, 0)


class Undecided(Always):
    """A gate whose score is not a number."""

    def __call__(self, code, error, surprise):
        return float('nan')


def poison(session, how, episode):
    """Make the next step overflow inside the memory; returns the step, which is finite."""
    memory = session.memory
    step = make_step(memory, 64 if episode == FIRST else 0, episode, seed=9)
    if how == 'gate':
        memory.cell._schedule = Undecided()
    elif how == 'state':
        memory.restore(np.full(len(memory.export()) // 4, 3e38, '<f4').tobytes())
        session.reset_on_new_episode = False
    else:
        step.base_action[0, 0] = 3e38
    return step


@pytest.mark.fault('F5')
@pytest.mark.filterwarnings('ignore:overflow', 'ignore:invalid value')
@pytest.mark.parametrize('episode', [FIRST, SECOND])
@pytest.mark.parametrize(
    ('kind', 'window', 'how'),
    [
        ('aura', 0, 'gate'),
        ('aura', 0, 'state'),
        ('aura', 0, 'action'),
        ('kv', 0, 'action'),
        ('kv', 3, 'action'),
        ('kv', 64, 'action'),
        ('kv', 65, 'action'),
    ],
)
def test_a_step_that_overflows_inside_is_undone(kind, window, how, episode, measured):
    session, twin = (MemorySession(load_memory(kind, None, window)) for _ in range(2))
    for seq in range(64):
        step = make_step(session.memory, seq)
        session.apply(step)
        twin.apply(step)
    step = poison(session, how, episode)
    before = trace(session)
    with pytest.raises(StepRefused, match='not finite; the step was undone'):
        session.apply(step)
    assert trace(session) == before
    if how == 'action':
        for seq in range(65, 70):
            step = make_step(session.memory, seq, seed=2)
            assert session.apply(step).decision.action.tobytes() == twin.apply(step).decision.action.tobytes()
    if episode == SECOND:
        measured(f'{kind}, window {window}: infinite {how} in a new episode, state equal bit for bit')


@pytest.mark.fault('F5')
@pytest.mark.parametrize('episode', [FIRST, SECOND])
@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'gate': np.nan}, 'gate = nan'),
        ({'delta_norm': np.inf}, 'delta_norm = inf'),
        ({'action': np.full((8, 8), np.nan)}, 'an action that is not finite'),
        ({'action': np.full((8, 8), 1e300)}, 'an action that is not finite'),
        ({'action': np.zeros((2, 8))}, r'an action of shape \(2, 8\)'),
    ],
)
@pytest.mark.filterwarnings('ignore:overflow')
def test_a_memory_of_a_user_cannot_spoil_its_state(monkeypatch, episode, change, message):
    memory = fakes.aura()
    session = MemorySession(memory)
    for seq in range(5):
        session.apply(make_step(memory, seq))
    before, whole = trace(session)[:2], memory.step
    monkeypatch.setattr(memory, 'step', lambda z, base: replace(whole(z, base), **change))
    with pytest.raises(StepRefused, match=message):
        session.apply(make_step(memory, 5, episode))
    assert trace(session)[:2] == before and memory.seen == 5 and session.order.seq == 4


@pytest.mark.fault('F5')
@pytest.mark.parametrize('error', [InputError('no such action'), ZeroDivisionError('a bug')])
def test_an_error_of_the_memory_after_the_reset_puts_its_state_back(monkeypatch, error):
    memory = fakes.aura()
    session = MemorySession(memory)
    for seq in range(5):
        session.apply(make_step(memory, seq))
    before = memory.export(), memory.writes, memory.seen

    def fail(z, base):
        memory.vector[:] = 7.0
        raise error

    monkeypatch.setattr(memory, 'step', fail)
    with pytest.raises(StepRefused, match=f'{error}; the step was undone'):
        session.apply(make_step(memory, 0, SECOND))
    assert (memory.export(), memory.writes, memory.seen) == before
    assert (session.order.episode_id, session.order.seq) == (FIRST, 4)


def test_a_memory_of_a_user_that_lacks_a_member_is_refused_when_loaded(monkeypatch):
    class Bare:
        name = 'bare'

    monkeypatch.setattr(fakes, 'aura', lambda path, window: Bare())
    with pytest.raises(ConfigError, match=r"'fakes:aura' has no feature_dim, chunk_shape.*see aura_ros.memory.Memory"):
        load_memory('fakes:aura')
    with pytest.raises(ConfigError, match="memory 'aura' has no entries"):
        load_memory('aura', needed=('entries', 'row_age'))
