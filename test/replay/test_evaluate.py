# SPDX-License-Identifier: Apache-2.0
"""Policies on the same steps: decisions equal those of a memory stepped by hand; budgets, errors and sizes."""

import zlib
from dataclasses import replace

import numpy as np
import pytest
from replayed import BEGIN_NS, CHUNK, INFO, OPTIONS, PERIOD_NS, WEIGHTS, joined, synthetic_steps

from aura_ros.common.errors import ConfigError
from aura_ros.memory import load_memory
from aura_ros.memory.weights import default_path
from aura_ros.replay.choice import choose
from aura_ros.replay.disk_arrays import DiskArrays
from aura_ros.replay.evaluate import run_policies, run_policy
from aura_ros.replay.live import compare
from aura_ros.replay.policies import Budget, make_policy, periodic_writes, random_writes
from aura_ros.replay.steps.arrays import Row, Steps
from aura_ros.state.format import SLOT_BYTES

COLUMNS = ('stamps_ns', 'episode_ids', 'seqs', 'features', 'base_actions', 'recorded_actions')
ALL = ['base', 'aura', 'kv', 'kv-window', 'always', 'random', 'periodic']


@pytest.fixture(scope='module')
def runs():
    return run_policies(ALL, OPTIONS, synthetic_steps(60), DiskArrays())


def test_decisions_equal_those_of_a_memory_stepped_by_hand(runs):
    steps, memory, run = synthetic_steps(60), load_memory('aura'), runs['aura']
    writes = []
    for row in range(len(steps)):
        decision = memory.step(steps.features[row], steps.base_actions[row])
        assert run.gate[row] == np.float32(decision.gate)
        assert run.written[row] == decision.written
        assert np.array_equal(run.actions[row], decision.action[0])
        if decision.written:
            writes.append((row, memory.writes, zlib.crc32(memory.export())))
    assert 0 < len(writes) < 60
    assert [(write.row, write.writes, write.state_crc32) for write in run.writes] == writes
    assert run.state_crc32 == zlib.crc32(memory.export())
    assert all(write.bytes_written == write.writes * 4224 for write in run.writes)


def test_the_same_steps_give_the_same_bits_in_one_part_or_many(runs):
    steps = synthetic_steps(60)

    class Parts:
        info = steps.info

        def __len__(self):
            return len(steps)

        def parts(self, thumbnails=False):
            for begin in range(0, 60, 7):
                rows = slice(begin, begin + 7)
                yield replace(steps, thumbnails=(), **{name: getattr(steps, name)[rows] for name in COLUMNS})

    again = run_policy(make_policy('aura', OPTIONS), Parts(), DiskArrays())
    assert again.writes == runs['aura'].writes and again.state_crc32 == runs['aura'].state_crc32
    assert np.array_equal(again.errors, runs['aura'].errors)


def test_schedules_write_as_often_as_aura_did(runs):
    budget = int(runs['aura'].written.sum())
    assert int(runs['random'].written.sum()) == int(runs['periodic'].written.sum()) == budget
    assert runs['always'].written.all() and not runs['base'].written.any()
    assert not np.array_equal(runs['random'].written, runs['aura'].written)


@pytest.mark.parametrize(('writes', 'steps'), [(0, 10), (1, 10), (3, 10), (10, 10), (333, 1000)])
def test_schedules_write_exactly_their_budget(writes, steps):
    for seed in range(3):
        assert random_writes(Budget(writes, steps), seed).sum() == writes
    even = np.flatnonzero(periodic_writes(Budget(writes, steps)))
    assert len(even) == writes
    if writes > 1:
        assert even[0] == 0 and np.ptp(np.diff(even)) <= 1


def test_a_schedule_runs_without_aura_in_the_report():
    shown = run_policies(['base', 'random'], OPTIONS, synthetic_steps(60), DiskArrays())
    assert list(shown) == ['base', 'random']
    with pytest.raises(ConfigError, match='needs a budget'):
        make_policy('random', OPTIONS)


def test_state_sizes_and_bytes_to_storage(runs):
    assert not runs['base'].state_bytes.any()
    assert set(runs['aura'].state_bytes) == {4224}
    assert runs['kv'].state_bytes.tolist() == [256 * (row + 1) for row in range(60)]
    # The first write fills both slots of the state file.
    assert runs['aura'].device_bytes == (len(runs['aura'].writes) + 1) * SLOT_BYTES
    assert runs['always'].device_bytes == 61 * SLOT_BYTES
    assert runs['kv'].device_bytes == runs['kv-window'].device_bytes == 60 * 2 * 4096
    assert runs['base'].device_bytes == 0


def test_a_window_bounds_the_cache():
    run = run_policy(make_policy('kv-window', replace(OPTIONS, window=8)), synthetic_steps(20), DiskArrays())
    assert run.state_bytes.max() == 8 * 256


def test_the_error_covers_only_executed_actions(runs):
    base = np.zeros(CHUNK, np.float32)
    action = np.zeros(CHUNK, np.float32)
    action[: INFO.n_action_steps, 1] = [0.1, 0.2, -0.3, 0.4]
    action[INFO.n_action_steps :] = 9.0  # replaced by the next chunk before it is executed
    features = WEIGHTS.arrays['feature_mean']
    steps = Steps.of(INFO, [Row(1, 'e', 0, features, base, action), Row(2, 'e', 1, features, base)])
    run = run_policy(make_policy('base', OPTIONS), steps, DiskArrays())
    assert run.errors[0] == pytest.approx([0, 0.25] + [0] * (CHUNK[1] - 2))
    assert np.isnan(run.errors[1]).all()
    assert runs['base'].errors == pytest.approx(0.01, rel=1e-4)


def test_a_new_episode_begins_with_an_empty_memory():
    two = synthetic_steps(60, episodes=2)
    run = run_policy(make_policy('aura', OPTIONS), two, DiskArrays())
    second = joined([two])
    rows = slice(30, None)
    alone = run_policy(
        make_policy('aura', OPTIONS),
        replace(second, thumbnails=(), **{name: getattr(second, name)[rows] for name in COLUMNS}),
        DiskArrays(),
    )
    assert np.array_equal(run.gate[rows], alone.gate)
    assert run.state_crc32 == alone.state_crc32
    assert [write.writes for write in run.writes if write.row >= 30] == list(range(1, len(alone.writes) + 1))


def test_steps_are_applied_once_and_in_order_and_refused_steps_change_nothing():
    steps = synthetic_steps(30)
    order = [*range(10), 9, *range(12, 30)]  # one twice, two missing
    mixed = replace(steps, thumbnails=(), **{name: getattr(steps, name)[order].copy() for name in COLUMNS})
    mixed.features[20, 3] = np.nan
    run = run_policy(make_policy('aura', OPTIONS), mixed, DiskArrays())
    assert (run.applied, run.refused, run.missed) == (len(order) - 2, 2, 3)
    assert 'applied before' in run.problems[0] and 'not finite' in run.problems[1]
    assert np.isnan(run.gate[[10, 20]]).all() and np.isnan(run.errors[[10, 20]]).all()
    assert not np.isnan(run.gate[21:]).any()
    memory = load_memory('aura')
    for row in (*range(10), *range(12, 21), *range(22, 30)):
        memory.step(steps.features[row], steps.base_actions[row])
    assert run.state_crc32 == zlib.crc32(memory.export())


def test_policies_are_chosen_by_name():
    names, missing = choose([], {})
    assert names == ALL or 'elmur' in names  # once its weights ship
    assert all(f'aura train memory --from-bags BAG... --memory {name}' in why for name, why in missing.items())
    assert 'the part of the memory in a gain is unknown' in missing['memoryless']
    assert choose(['kv', 'aura'], {})[0] == ['base', 'aura', 'kv']
    with pytest.raises(ConfigError, match=r"no 'kvv', did you mean kv\?.*base, aura, kv.*--weights kvv=FILE"):
        choose(['kvv'], {})


@pytest.mark.skipif(default_path('elmur').is_file(), reason='weights of ELMUR ship')
def test_a_policy_without_weights_is_refused_with_the_fix():
    with pytest.raises(ConfigError, match=r'`aura train memory --from-bags BAG\.\.\. --memory elmur`'):
        choose(['elmur'], {})


def test_own_weights_take_part():
    weights = {'mine': default_path('aura')}
    assert choose(['mine'], weights)[0] == ['base', 'mine']
    policy = make_policy('mine', replace(OPTIONS, weights=weights))
    assert policy.gated and policy.memory.memory_hash == WEIGHTS.sha256
    with pytest.raises(ConfigError, match="weights of the memory 'kv' cannot be used for the policy 'aura'"):
        make_policy('aura', replace(OPTIONS, weights={'aura': default_path('kv')}))
    with pytest.raises(ConfigError, match='does not exist'):
        make_policy('mine', replace(OPTIONS, weights={'mine': default_path('nothing')}))


def test_steps_of_another_backbone_are_refused():
    with pytest.raises(ConfigError, match='trained for the backbone'):
        make_policy('aura', replace(OPTIONS, backbone_hash='cd' * 32))
    with pytest.raises(ConfigError, match=f'trained for {OPTIONS.feature_dim} features'):
        make_policy('aura', replace(OPTIONS, feature_dim=16))


class Event:
    """A write event as read from a bag."""

    def __init__(self, write):
        for name in ('seq', 'gate', 'threshold', 'surprise', 'action_change', 'delta_norm', 'writes', 'state_crc32'):
            setattr(self, name, getattr(write, name))
        self.header = self
        self.stamp = self
        self.sec, self.nanosec = divmod(write.stamp_ns, 1_000_000_000)


def test_the_live_run_is_compared_bit_for_bit(runs):
    writes = runs['aura'].writes
    stamps = [BEGIN_NS + row * PERIOD_NS for row in range(60)]
    live = [Event(write) for write in writes]
    all_same = 'The replay reproduces all {} write events of the live run bit for bit.'
    assert compare(live, writes, stamps) == all_same.format(len(writes))
    assert 'writes in the live run only' in compare(live, writes[1:], stamps)
    assert 'writes in the replay only' in compare(live[1:], writes, stamps)
    # A live write on a step that was not replayed is ignored.
    assert compare(live, writes[:-1], stamps[: writes[-1].row]) == all_same.format(len(writes) - 1)
    live[0].gate = float(np.nextafter(np.float32(live[0].gate), np.float32(2)))
    assert f'at step {writes[0].seq} gate is' in compare(live, writes, stamps)
    assert 'Neither the live run nor the replay writes' in compare([], [], stamps)
