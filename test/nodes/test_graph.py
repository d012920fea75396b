# SPDX-License-Identifier: Apache-2.0
"""The whole graph as real processes: repeatable lock-step, and what happens when one dies."""

import os
import signal
import time

import numpy as np
import pytest
from aura_ros.srv import SelectArm
from diagnostic_msgs.msg import DiagnosticStatus
from whole_graph import Whole

from aura_ros.nodes import conversions

BASE, AURA, KV = 0, 1, 2
pytestmark = [pytest.mark.graph, pytest.mark.timeout(240)]


def test_lockstep_is_repeatable_and_loses_nothing(graph, monkeypatch, tmp_path):
    logs = []
    for run in range(2):
        log = tmp_path / f'run{run}.npy'
        monkeypatch.setenv('FAKE_SIMULATION_LOG', str(log))
        whole = Whole(graph, lockstep=True, rounds=4)
        handle = whole.begin()
        graph.until(lambda whole=whole: whole.events and whole.events[-1].last, 'the end', 60)
        graph.until(handle.cancel_goal_async().done, 'cancelled')
        result = handle.get_result_async()
        graph.until(result.done, 'result')
        assert result.result().result.steps == 20  # 4 s, one step each 0.2 s
        graph.until(lambda whole=whole: len(whole.gates) >= 20, 'gate samples')
        assert [gate.seq for gate in whole.gates] == list(range(20))
        for process in reversed(list(whole.processes.values())):
            process.send_signal(signal.SIGINT)
        assert [process.wait(30) for process in whole.processes.values()] == [0] * 5
        logs.append(np.load(log))
        graph.until(lambda: 'vla_node' not in graph.node.get_node_names(), 'the graph is empty')
        for heard in graph.heard.values():
            heard.clear()
    assert logs[0].shape[0] >= 80
    np.testing.assert_array_equal(logs[0], logs[1])
    assert np.abs(logs[0][-1]).max() > 0.1  # and it did move


@pytest.mark.parametrize(('victim', 'topic'), [('vla_node', 'vla_step'), ('memory_node', 'aura/action_chunk')])
def test_killing_a_node_holds_the_robot_and_says_why(graph, victim, topic):
    whole = Whole(graph, lockstep=False, rounds=1000)
    whole.begin()
    whole.driven()
    process = whole.processes[victim]
    os.kill(process.pid, signal.SIGKILL)
    killed = time.time_ns()
    process.wait()
    seen = len(whole.statuses)

    def held_for_it():
        found = whole.statuses[seen:]
        # on a busy machine another lease may have run out just before: the diagnostics name every lost topic
        return next((each for each in found if each.holding), None)

    status = graph.until(held_for_it, 'hold')
    told = whole.told('arm_switch_node: switch', topic, DiagnosticStatus.ERROR)
    # a hold of a busy machine just before the kill may end; the hold in the diagnostics may not
    held = conversions.to_ns(status.header.stamp)
    since = max(held, conversions.to_ns(told.header.stamp))

    def later():
        return [
            list(command.points[0].positions)
            for command in whole.commands
            if conversions.to_ns(command.header.stamp) > since
        ]

    graph.until(lambda: len(later()) >= 10, 'ten commands while it is held')
    assert all(target == later()[0] for target in later()), 'it moved while it was held'
    print(f'{victim}: held {(held - killed) * 1e-6:.0f} ms after the kill')


def test_killing_the_arm_that_does_not_drive_changes_nothing(graph):
    whole = Whole(graph, lockstep=False, rounds=1000)
    whole.begin()
    whole.driven()
    # one that the switch has never heard is not missed
    graph.until(lambda: conversions.to_ns(whole.statuses[-1].newest_stamp[KV]) > 0, 'a chunk of the KV arm')
    os.kill(whole.processes['kv_baseline_node'].pid, signal.SIGKILL)
    whole.told('arm_switch_node: switch', 'lost: kv', DiagnosticStatus.ERROR)
    count = len(whole.gates)
    graph.until(lambda: len(whole.gates) > count + 5, 'more steps')
    # on a busy machine the arm that drives may be held for a moment
    graph.until(lambda: 'drives' in whole.statuses[-1].reason, 'an arm drives')
    assert whole.statuses[-1].arm == AURA


def test_after_a_selection_nothing_of_the_old_arm_leaves(graph):
    whole = Whole(graph, lockstep=False, rounds=1000)
    whole.begin()
    whole.driven()
    client = graph.node.create_client(SelectArm, 'select_arm')
    graph.until(client.service_is_ready, 'select_arm')
    for wanted in (KV, BASE, AURA, KV):
        future = client.call_async(SelectArm.Request(arm=wanted))
        graph.until(future.done, 'answer')
        answer = future.result()
        assert answer.success and answer.new_arm == wanted, answer.reason
        answered = time.time_ns()

        def later(since=answered):
            return [each.arm for each in whole.statuses if conversions.to_ns(each.header.stamp) > since]

        graph.until(lambda later=later: len(later()) >= 3, 'three more statuses')
        assert set(later()) == {wanted}
