# SPDX-License-Identifier: Apache-2.0
"""What memory_node keeps in its state file, and how durable it reports that to be."""

import errno
from dataclasses import replace

import fakes
import numpy as np
import pytest
from aura_ros.msg import WriteEvent
from aura_ros.srv import ResetMemory, SaveState
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fakes import CHUNK_LEN
from memory_policy import FIRST, SECOND, Policy, step

from aura_ros.common.errors import InputError
from aura_ros.nodes.memory.node import MemoryNode
from aura_ros.ros import qos
from aura_ros.state.device import Device
from aura_ros.state.reading import read_state_file

RAM, QUEUED, DURABLE = (WriteEvent.DURABILITY_RAM, WriteEvent.DURABILITY_QUEUED, WriteEvent.DURABILITY_DURABLE)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'aura.state'


def make(graph, path, **parameters):
    policy = Policy(graph, MemoryNode, 'aura', state_file=str(path), **parameters)
    policy.events = graph.listen(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
    policy.reported = lambda: [(event.seq, event.durability) for event in policy.events]
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
    assert node._session is None
    return node._lifecycle_status().message


def test_a_write_event_follows_the_commit_and_the_write_outlives_the_node(graph, path):
    policy = make(graph, path)
    policy.feed(step(0), answers=1)
    graph.until(lambda: policy.reported() == [(0, DURABLE)], 'a durable write')  # or one commit may serve both
    policy.feed(*(step(seq) for seq in range(1, 5)), answers=5)
    graph.until(lambda: policy.reported() == [(0, DURABLE), (3, DURABLE)], 'two durable writes')
    assert policy.events[0].device_bytes > 0 == policy.events[0].storage_life_years
    assert policy.events[1].device_bytes == policy.events[0].device_bytes + 8192
    restart(graph, policy)
    assert (policy.node.memory.seen, policy.node.memory.writes) == (5, 2)
    policy.feed(step(4), step(5), answers=6)  # step 4 was committed at shutdown: it is a duplicate
    assert policy.seqs == [0, 1, 2, 3, 4, 5] and policy.node.session.order.missed == 0


def test_the_steps_missed_by_a_restart_are_not_reported_as_a_gap(graph, path):
    found = statuses(graph, 'memory_node: steps')
    policy = make(graph, path)
    policy.feed(step(0), answers=1)
    restart(graph, policy)
    policy.feed(step(4), answers=2)
    graph.until(lambda: any('resumed: continues at step 4' in each.message for each in found()), 'resumed')
    policy.feed(step(6), answers=3)
    graph.until(lambda: any('gap: 1 step before step 6' in each.message for each in found()), 'a gap')


def test_the_life_of_the_storage_is_estimated(graph, path):
    found = statuses(graph)
    policy = make(graph, path, storage_tbw_bytes=1e12)
    policy.feed(step(0), answers=1)
    graph.until(lambda: policy.events, 'a write')
    assert policy.events[0].storage_life_years > 0
    graph.until(lambda: found() and found()[-1].level == DiagnosticStatus.OK, 'diagnostics')
    graph.until(lambda: {each.key: each.value for each in found()[-1].values}['durable_seq'] == '0', 'seq')
    values = {each.key: each.value for each in found()[-1].values}
    assert float(values['storage_life_years']) > 0 and int(values['device_bytes_per_hour']) > 0


def test_with_a_period_a_write_is_queued_and_committed_at_shutdown(graph, path):
    policy = make(graph, path, commit_period_s=3600.0)
    policy.feed(*(step(seq) for seq in range(4)), answers=4)
    graph.until(lambda: policy.reported() == [(0, QUEUED), (3, QUEUED)], 'two queued writes')
    assert policy.events[1].device_bytes == 0
    restart(graph, policy)
    assert policy.node.memory.seen == 4


def test_a_short_period_commits_in_time(graph, path):
    found = statuses(graph)
    policy = make(graph, path, commit_period_s=0.05)
    policy.feed(step(0), answers=1)

    def durable():
        return found() and {each.key: each.value for each in found()[-1].values}['durable_seq'] == '0'

    graph.until(durable, 'durable')


@pytest.mark.fault('F4')
@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_failing_storage_leaves_the_memory_in_ram_until_it_works(graph, path, monkeypatch, measured, number):
    found = statuses(graph)
    policy = make(graph, path)
    policy.feed(step(0), answers=1)
    graph.until(lambda: policy.reported() == [(0, DURABLE)], 'a durable write')
    whole = Device.write

    def fail(self, fd, data, offset):
        raise OSError(number, 'injected')

    monkeypatch.setattr(Device, 'write', fail)
    policy.feed(*(step(seq) for seq in range(1, 4)), answers=4)
    graph.until(lambda: policy.reported()[1:] == [(3, RAM)], 'a write in RAM')
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


def test_a_reset_survives_a_restart(graph, path):
    policy = make(graph, path)
    policy.feed(step(0), step(1), answers=2)
    assert graph.call(ResetMemory, 'aura/reset_memory', ResetMemory.Request()).success
    restart(graph, policy)
    assert (policy.node.memory.seen, policy.node.memory.writes) == (0, 0)
    policy.feed(step(2), answers=3)
    assert policy.node.session.order.missed == 0


@pytest.mark.fault('F15')
@pytest.mark.parametrize(('choice', 'seen'), [('auto', 3), ('keep', 3), ('reset', 1)])
def test_on_new_episode_holds_for_a_restored_memory(graph, path, capfd, measured, choice, seen):
    policy = make(graph, path, on_new_episode=choice)
    policy.feed(step(0), step(1), answers=2)
    restart(graph, policy)
    policy.feed(step(0, SECOND), answers=3)
    assert policy.node.memory.seen == seen
    log = capfd.readouterr().err
    assert ('the next episode resets it' in log) == ('a new episode resets' in log) == (choice == 'reset')
    restart(graph, policy)
    assert (policy.node.session.order.episode_id, policy.node.memory.seen) == (SECOND, seen)
    measured(f'on_new_episode {choice}: {"reset, and logged twice" if seen == 1 else "kept"}')


def spoiled(kind, message):
    """A step that must be refused."""
    if kind == 'nan':
        message.features[3] = float('nan')
    elif kind == 'backbone':
        message.backbone_hash = 'cd' * 32
    elif kind == 'narrow':
        message.action_dim -= 1
        message.base_action = message.base_action[: CHUNK_LEN * message.action_dim]
    elif kind == 'sizes':
        message.base_action = message.base_action[:-1]
    elif kind == 'period':
        message.seconds_per_action = 0.0
    return message


@pytest.mark.fault('F5')
@pytest.mark.parametrize('kind', ['nan', 'backbone', 'narrow', 'sizes', 'period', 'user memory', 'user memory raises'])
def test_a_refused_first_step_of_an_episode_loses_nothing(graph, path, monkeypatch, measured, kind):
    found = statuses(graph, 'memory_node: steps')
    policy = make(graph, path, on_new_episode='reset')
    policy.feed(*(step(seq) for seq in range(4)), answers=4)
    graph.until(lambda: policy.reported() == [(0, DURABLE), (3, DURABLE)], 'two durable writes')
    before = read_state_file(path).slots
    if kind.startswith('user memory'):
        whole = policy.node.memory.step

        def broken(z, base):
            decision = whole(z, base)
            if kind.endswith('raises'):
                raise InputError('no such action')
            return replace(decision, action=decision.action * np.nan)

        monkeypatch.setattr(policy.node.memory, 'step', broken)
    policy.steps.publish(spoiled(kind, step(0, SECOND)))
    graph.until(lambda: any('rejected: ' in each.message for each in found()), 'the refusal in the diagnostics')
    memory, order = policy.node.memory, policy.node.session.order
    assert (memory.seen, memory.writes, order.episode_id, order.seq) == (4, 2, FIRST, 3)
    assert read_state_file(path).slots == before
    assert policy.seqs == [0, 1, 2, 3]
    monkeypatch.undo()
    policy.feed(step(0, SECOND), answers=5)  # the same number as a good step begins the episode
    assert (memory.seen, memory.writes, order.missed) == (1, 1, 0)
    restart(graph, policy)
    assert (policy.node.session.order.episode_id, policy.node.memory.seen) == (SECOND, 1)
    measured(f'{kind} in a new episode: memory, writes and both slots unchanged; a good step begins the episode')


@pytest.mark.parametrize(('name', 'said'), [('', 'directory'), ('missing/aura.state', 'make it')])
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(graph, tmp_path, name, said):
    reason = refused(graph, tmp_path / name)
    assert 'state_file' in reason and said in reason and '[Errno' not in reason


def test_the_home_folder_may_be_a_tilde(graph, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    policy = Policy(graph, MemoryNode, 'aura', state_file='~/aura.state')
    policy.feed(step(0), answers=1)
    assert (tmp_path / 'aura.state').exists()


def test_save_state_answers_once_the_state_is_durable(graph, path):
    policy = make(graph, path, commit_period_s=3600.0)
    policy.feed(step(0), step(1), answers=2)
    answer = graph.call(SaveState, 'aura/save_state', SaveState.Request())
    assert answer.success and answer.path == str(path), answer.reason
    assert (answer.seq, answer.state_crc32) == (1, policy.node.memory.crc())
    assert policy.node._keeper.wear()[0] > 0


def test_save_state_gives_the_reason_of_a_failure(graph, path, monkeypatch):
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


def test_save_state_without_a_file_names_the_parameter(graph):
    policy = Policy(graph, MemoryNode, 'aura')
    answer = graph.call(SaveState, 'aura/save_state', SaveState.Request())
    assert not answer.success and 'state_file' in answer.reason
    assert policy.node.active


@pytest.mark.fault('F14')
def test_a_second_node_on_the_same_file_does_not_configure(graph, path, measured):
    policy = make(graph, path)
    reason = refused(graph, path)
    assert str(path) in reason and 'configure failed' in reason
    policy.feed(step(0), answers=1)  # the first node is not affected
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


@pytest.mark.fault('F29')
@pytest.mark.parametrize('recovers', [False, True])
def test_the_last_log_line_states_whether_the_newest_state_is_durable(
    graph, path, monkeypatch, capfd, measured, recovers
):
    policy = make(graph, path)
    policy.feed(step(0), answers=1)
    graph.until(lambda: policy.reported() == [(0, DURABLE)], 'a durable write')
    whole = Device.write

    def fail(self, fd, data, offset):
        raise OSError(errno.EIO, 'injected')

    monkeypatch.setattr(Device, 'write', fail)
    policy.feed(*(step(seq) for seq in range(1, 4)), answers=4)
    graph.until(lambda: policy.reported()[1:] == [(3, RAM)], 'a write in RAM')
    policy.node.trigger_deactivate()
    if recovers:
        monkeypatch.setattr(Device, 'write', whole)
    policy.node.trigger_cleanup()
    graph.spin(0.3)  # the writer thread has scheduled updates that run only now
    lines = [line for line in capfd.readouterr().err.splitlines() if 'durable' in line or 'without the newest' in line]
    assert ('the memory is durable again' in lines[-1]) == recovers, lines
    assert ('closed without the newest state' in lines[-1]) == (not recovers), lines
    kept = read_state_file(path).newest.snapshot.seq
    assert kept == (3 if recovers else 0)
    measured(f'last commit {"succeeds" if recovers else "fails"}: step {kept} in the file, and the last line states it')


@pytest.mark.fault('F30')
def test_no_write_is_durable_after_another_state_was_copied_over_the_file(graph, path, measured):
    found = statuses(graph)
    policy = make(graph, path)
    policy.feed(step(0), answers=1)
    graph.until(lambda: policy.reported() == [(0, DURABLE)], 'a durable write')
    foreign = path.read_bytes()
    policy.feed(*(step(seq) for seq in range(1, 4)), answers=4)
    graph.until(lambda: policy.reported()[1:] == [(3, DURABLE)], 'two durable writes')
    path.write_bytes(foreign)
    policy.feed(*(step(seq) for seq in range(4, 7)), answers=7)
    graph.until(lambda: policy.reported()[2:] == [(6, RAM)], 'a write in RAM')
    graph.until(lambda: 'overwritten by another program' in found()[-1].message, 'the reason in the diagnostics')
    assert found()[-1].level == DiagnosticStatus.ERROR
    assert path.read_bytes() == foreign
    measured('on the graph: the next write is RAM, and the diagnostics give the reason')


@pytest.mark.fault('F31')
def test_a_step_number_that_no_file_can_keep_does_not_stop_durability(graph, path, measured):
    found = statuses(graph, 'memory_node: steps')
    policy = make(graph, path)
    policy.feed(step(0), answers=1)
    graph.until(lambda: policy.reported() == [(0, DURABLE)], 'a durable write')
    for seq in (2**63, 2**64 - 1):
        message = step(1)
        message.seq = seq
        policy.steps.publish(message)
    graph.until(
        lambda: any({e.key: e.value for e in each.values}.get('rejected') == '2' for each in found()), 'refused'
    )
    policy.feed(*(step(seq) for seq in range(1, 4)), answers=4)
    graph.until(lambda: policy.reported() == [(0, DURABLE), (3, DURABLE)], 'two durable writes')
    assert policy.node.session.order.missed == 0
    measured('seq 2^63 and 2^64 - 1: rejected and counted, later writes are DURABLE')


@pytest.mark.fault('F31')
@pytest.mark.parametrize('call', ['step', 'crc', 'fast_weights'])
def test_no_exception_of_a_memory_ends_the_node(graph, path, monkeypatch, measured, call):
    found = statuses(graph, 'memory_node: steps')
    policy = make(graph, path)
    policy.feed(step(0), answers=1)
    memory, kind = policy.node.memory, 'rejected' if call == 'step' else 'failed'

    def fail(*_):
        raise KeyError('of a user')

    if call == 'step':
        monkeypatch.setattr(memory, 'step', fail)
    elif call == 'crc':
        monkeypatch.setattr('aura_ros.nodes.memory.node.state_crc', fail)
    else:
        monkeypatch.setattr('aura_ros.ros.conversions.state_to_msg', fail)
    for seq in range(1, 4):
        policy.steps.publish(step(seq))
    graph.until(lambda: any(f'{kind}: ' in each.message and 'of a user' in each.message for each in found()), kind)
    monkeypatch.undo()
    for seq in range(6, 9):
        policy.steps.publish(step(seq))
    graph.until(lambda: any(seq >= 6 and kept == DURABLE for seq, kept in policy.reported()), 'a durable write')
    measured(f'exception in {call}: diagnosed as {kind}, and the node goes on')


@pytest.mark.fault('F31')
def test_a_memory_of_another_size_than_the_messages_is_refused_at_configure(graph, monkeypatch):
    whole = fakes.ScriptedMemory.reset

    def reset(memory):
        whole(memory)
        memory.row_age = np.zeros(7, np.uint64)

    monkeypatch.setattr(fakes.ScriptedMemory, 'reset', reset)
    node = graph.inside(MemoryNode, memory='fakes:aura', autostart=True)
    assert not node.autostart()
    assert 'row_age has shape (7,): must be (32,)' in node._lifecycle_status().message
