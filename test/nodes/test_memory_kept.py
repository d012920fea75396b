# SPDX-License-Identifier: Apache-2.0
"""What memory_node keeps in its state file, and what it says of how safe that is."""

import errno

import pytest
from aura_ros.msg import WriteEvent
from aura_ros.srv import ResetMemory, SaveState
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from memory_policy import FIRST, SECOND, Policy, step

from aura_ros.nodes.memory.node import MemoryNode
from aura_ros.ros import qos
from aura_ros.state.store import Device

RAM, QUEUED, DURABLE = (WriteEvent.DURABILITY_RAM, WriteEvent.DURABILITY_QUEUED, WriteEvent.DURABILITY_DURABLE)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'aura.state'


def make(graph, path, **parameters):
    policy = Policy(graph, MemoryNode, 'aura', state_file=str(path), **parameters)
    policy.events = graph.listen(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
    policy.told = lambda: [(event.seq, event.durability) for event in policy.events]
    return policy


def restart(graph, policy):
    policy.node.trigger_deactivate()
    policy.node.trigger_cleanup()
    assert policy.node.autostart()
    graph.matched(policy.steps)


def statuses(graph, name='memory_node: state'):
    arrays = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    return lambda: [found for array in arrays for found in array.status if found.name == name]


def refused(graph, path, **parameters):
    """The diagnosed reason why a second node does not configure."""
    node = graph.inside(MemoryNode, memory='fakes:aura', state_file=str(path), autostart=True, **parameters)
    assert not node.autostart()
    assert node.memory is None
    return node._lifecycle_status().message


def test_a_write_is_told_once_it_is_durable_and_outlives_the_node(graph, path):
    policy = make(graph, path)
    policy.feed(step(0), answers=1)
    graph.until(lambda: policy.told() == [(0, DURABLE)], 'a durable write')  # or one commit may serve both
    policy.feed(*(step(seq) for seq in range(1, 5)), answers=5)
    graph.until(lambda: policy.told() == [(0, DURABLE), (3, DURABLE)], 'two durable writes')
    assert policy.events[0].device_bytes > 0 == policy.events[0].storage_life_years
    assert policy.events[1].device_bytes == policy.events[0].device_bytes + 8192
    restart(graph, policy)
    assert (policy.node.memory.seen, policy.node.memory.writes) == (5, 2)
    policy.feed(step(4), step(5), answers=6)  # step 4 was kept on the way out: it is a duplicate
    assert policy.seqs == [0, 1, 2, 3, 4, 5] and policy.node.order.missed == 0


def test_after_a_restart_the_steps_between_are_told_apart_from_a_gap(graph, path):
    found = statuses(graph, 'memory_node: steps')
    policy = make(graph, path)
    policy.feed(step(0), answers=1)
    restart(graph, policy)
    policy.feed(step(4), answers=2)
    graph.until(lambda: any('resumed: goes on at step 4' in each.message for each in found()), 'resumed')
    policy.feed(step(6), answers=3)
    graph.until(lambda: any('gap: 1 steps before step 6' in each.message for each in found()), 'a gap')


def test_the_life_of_the_medium_is_projected(graph, path):
    found = statuses(graph)
    policy = make(graph, path, storage_tbw_bytes=1e12)
    policy.feed(step(0), answers=1)
    graph.until(lambda: policy.events, 'a write')
    assert policy.events[0].storage_life_years > 0
    graph.until(lambda: found() and found()[-1].level == DiagnosticStatus.OK, 'diagnostics')
    graph.until(lambda: {each.key: each.value for each in found()[-1].values}['durable_seq'] == '0', 'seq')
    values = {each.key: each.value for each in found()[-1].values}
    assert float(values['storage_life_years']) > 0 and int(values['device_bytes_per_hour']) > 0


def test_by_period_a_write_is_queued_and_kept_on_the_way_out(graph, path):
    policy = make(graph, path, commit_period_s=3600.0)
    policy.feed(*(step(seq) for seq in range(4)), answers=4)
    graph.until(lambda: policy.told() == [(0, QUEUED), (3, QUEUED)], 'two queued writes')
    assert policy.events[1].device_bytes == 0
    restart(graph, policy)
    assert policy.node.memory.seen == 4


def test_a_short_period_commits_by_itself(graph, path):
    found = statuses(graph)
    policy = make(graph, path, commit_period_s=0.05)
    policy.feed(step(0), answers=1)

    def durable():
        return found() and {each.key: each.value for each in found()[-1].values}['durable_seq'] == '0'

    graph.until(durable, 'durable')


@pytest.mark.fault('F4')
@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_medium_that_fails_leaves_the_memory_in_ram_until_it_works(graph, path, monkeypatch, measured, number):
    found = statuses(graph)
    policy = make(graph, path)
    policy.feed(step(0), answers=1)
    graph.until(lambda: policy.told() == [(0, DURABLE)], 'a durable write')
    whole = Device.write

    def fail(self, fd, data, offset):
        raise OSError(number, 'injected')

    monkeypatch.setattr(Device, 'write', fail)
    policy.feed(*(step(seq) for seq in range(1, 4)), answers=4)
    graph.until(lambda: policy.told()[1:] == [(3, RAM)], 'a write in RAM')
    graph.until(
        lambda: any(each.level == DiagnosticStatus.ERROR and 'injected' in each.message for each in found()),
        'ERROR',
        1.0,
    )
    policy.feed(*(step(seq) for seq in range(4, 7)), answers=7)  # and it goes on
    monkeypatch.setattr(Device, 'write', whole)
    graph.until(lambda: found()[-1].level == DiagnosticStatus.OK, 'recovery by itself', 10.0)
    restart(graph, policy)
    assert policy.node.memory.seen == 7
    measured(f'{errno.errorcode[number]}: ERROR within 1 s, event says RAM, nothing lost after recovery')


def test_what_was_forgotten_does_not_come_back(graph, path):
    policy = make(graph, path)
    policy.feed(step(0), step(1), answers=2)
    assert graph.call(ResetMemory, 'aura/reset_memory', ResetMemory.Request()).success
    restart(graph, policy)
    assert (policy.node.memory.seen, policy.node.memory.writes) == (0, 0)
    policy.feed(step(2), answers=3)
    assert policy.node.order.missed == 0


@pytest.mark.fault('F15')
@pytest.mark.parametrize(('policy', 'seen'), [('auto', 3), ('keep', 3), ('reset', 1)])
def test_what_a_new_episode_does_to_a_restored_memory_is_as_asked(graph, path, capfd, measured, policy, seen):
    policy = make(graph, path, on_new_episode=policy)
    policy.feed(step(0), step(1), answers=2)
    restart(graph, policy)
    policy.feed(step(0, SECOND), answers=3)
    assert policy.node.memory.seen == seen
    told = capfd.readouterr().err
    assert ('the next episode empties it' in told) == ('a new episode empties' in told) == (policy == 'reset')
    restart(graph, policy)
    assert (policy.node.order.episode_id, policy.node.memory.seen) == (SECOND, seen)
    measured(f'on_new_episode {policy}: {"emptied, and told twice" if seen == 1 else "kept"}')


@pytest.mark.parametrize(('name', 'said'), [('', 'directory'), ('missing/aura.state', 'make it')])
def test_a_file_that_cannot_be_used_is_named_with_the_reason(graph, tmp_path, name, said):
    reason = refused(graph, tmp_path / name)
    assert 'state_file' in reason and said in reason and '[Errno' not in reason


def test_the_home_folder_may_be_a_tilde(graph, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    policy = Policy(graph, MemoryNode, 'aura', state_file='~/aura.state')
    policy.feed(step(0), answers=1)
    assert (tmp_path / 'aura.state').exists()


def test_saving_answers_when_it_is_on_the_medium(graph, path):
    policy = make(graph, path, commit_period_s=3600.0)
    policy.feed(step(0), step(1), answers=2)
    answer = graph.call(SaveState, 'aura/save_state', SaveState.Request())
    assert answer.success and answer.path == str(path), answer.reason
    assert (answer.seq, answer.state_crc32) == (1, policy.node.memory.crc())
    assert policy.node._keeper.wear()[0] > 0


def test_saving_says_why_not(graph, path, monkeypatch):
    policy = make(graph, path)
    answer = graph.call(SaveState, 'aura/save_state', SaveState.Request())
    assert not answer.success and 'no step' in answer.reason
    policy.feed(step(0), answers=1)

    def fail(self, fd, data, offset):
        raise OSError(errno.ENOSPC, 'no space is left, injected')

    monkeypatch.setattr(Device, 'write', fail)
    answer = graph.call(SaveState, 'aura/save_state', SaveState.Request())
    assert not answer.success and 'no space is left' in answer.reason
    assert policy.node.active


def test_saving_without_a_file_says_what_to_do(graph):
    policy = Policy(graph, MemoryNode, 'aura')
    answer = graph.call(SaveState, 'aura/save_state', SaveState.Request())
    assert not answer.success and 'state_file' in answer.reason
    assert policy.node.active


@pytest.mark.fault('F14')
def test_a_second_node_on_the_same_file_does_not_configure(graph, path, measured):
    policy = make(graph, path)
    reason = refused(graph, path)
    assert str(path) in reason and 'configure failed' in reason
    policy.feed(step(0), answers=1)  # the first one is none the worse for it
    measured(f'refused: "{reason.removeprefix("configure failed: ").replace(str(path), "FILE")}"')


@pytest.mark.fault('F15')
def test_a_state_of_another_policy_is_refused_unless_a_fresh_start_is_allowed(graph, path, monkeypatch, measured):
    policy = make(graph, path)
    policy.feed(step(0), step(1), answers=2)
    policy.node.trigger_deactivate()
    policy.node.trigger_cleanup()
    monkeypatch.setattr('fakes.ScriptedMemory.memory_hash', 'cd' * 32)
    reason = refused(graph, path)
    assert 'another memory' in reason and 'allow_fresh_start' in reason
    node = graph.inside(MemoryNode, memory='fakes:aura', state_file=str(path), autostart=True, allow_fresh_start=True)
    assert node.autostart() and node.memory.seen == 0
    (aside,) = path.parent.glob('aura.state.*.bak')
    assert aside.stat().st_size == path.stat().st_size
    measured('refused by policy hash; a fresh start keeps the old file')


def test_a_damaged_state_file_is_refused_at_configure(graph, path):
    path.write_bytes(b'no state')
    assert 'allow_fresh_start' in refused(graph, path)


def test_without_a_file_a_write_is_in_ram(graph):
    policy = Policy(graph, MemoryNode, 'aura')
    events = graph.listen(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
    policy.feed(step(0), answers=1)
    graph.until(lambda: events, 'a write')
    assert (events[0].durability, events[0].device_bytes, events[0].episode_id) == (RAM, 0, FIRST)
