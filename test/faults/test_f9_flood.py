# SPDX-License-Identifier: Apache-2.0
"""F9: cameras and joints at ten times their rate, also with a backbone that is too slow for the normal rate."""

import time

import psutil
import pytest
from cpu_wait import CpuWait
from diagnostic_msgs.msg import DiagnosticStatus
from std_msgs.msg import String
from whole_graph import Flood, WholeGraph

from aura_ros.ros import conversions, qos

CONTROL_HZ = 20.0
GROWTH_MB = 10.0
pytestmark = [pytest.mark.graph, pytest.mark.quiet, pytest.mark.fault('F9')]


def resident_mb(whole):
    """Return the resident memory of each node [MB]."""
    return {name: psutil.Process(process.pid).memory_info().rss / 1e6 for name, process in whole.processes.items()}


def command_hz(whole, seconds):
    """Run the graph; return the command rate by the stamps, and the rate lost to processor waiting time [Hz]."""
    began, wait = len(whole.commands), CpuWait(whole.processes['policy_switch_node'].pid)
    whole.graph.spin(seconds)
    missing_hz = CONTROL_HZ * wait.seconds / seconds
    stamps = [conversions.to_ns(command.header.stamp) for command in whole.commands[began:]]
    return (len(stamps) - 1) / ((stamps[-1] - stamps[0]) * 1e-9), missing_hz


def dropped(whole):
    """Return the number of dropped observations that vla_node reports."""
    for message in reversed(whole.diagnostics):
        for status in message.status:
            if status.name == 'vla_node: backbone':
                return next((int(each.value) for each in status.values if each.key == 'dropped observation'), 0)
    return 0


@pytest.mark.parametrize(
    ('seconds', 'tolerance'),
    [
        pytest.param(8.0, 0.15, marks=pytest.mark.timeout(150)),
        pytest.param(60.0, 0.05, marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_ten_times_the_input_changes_only_a_counter(graph, measured, seconds, tolerance):
    whole = WholeGraph(graph, lockstep=False, rounds=100_000, backbone='MarkedVla', simulation='BiasedSimulation')
    whole.begin()
    whole.driven()
    instructions = graph.node.create_publisher(String, 'instruction', qos.INSTRUCTION)
    graph.matched(instructions)
    # Memory that a node allocates at the start does not count as growth.
    usual_hz, _ = command_hz(whole, max(4.0, seconds / 6))
    flood = Flood(graph)
    graph.spin(1.0)
    before, sent, counted = resident_mb(whole), flood.sent, dropped(whole)

    began, wait = time.monotonic(), CpuWait()
    flooded_hz, flooded_missing_hz = command_hz(whole, seconds / 2)
    instructions.publish(String(data='slow please'))
    slow_hz, slow_missing_hz = command_hz(whole, seconds / 2)
    lasted_s = time.monotonic() - began
    input_hz = (flood.sent - sent) / lasted_s
    waiting = min(1.0, wait.seconds / lasted_s)

    growth = {name: after - before[name] for name, after in resident_mb(whole).items()}
    flood.stop()
    whole.wait_for_diagnostic('vla_node: backbone', 'dropped observation', DiagnosticStatus.WARN)
    graph.until(lambda: dropped(whole) > counted, 'drops counted')
    measured(
        f'{seconds:.0f} s at {input_hz:.0f} images/s: memory grew by {max(growth.values()):.1f} MB at most '
        f'({max(growth, key=growth.get)}); commands at {usual_hz:.2f} Hz before, {flooded_hz:.2f} Hz flooded, '
        f'{slow_hz:.2f} Hz with a slow backbone; {dropped(whole)} observations dropped and counted'
    )
    assert input_hz > 0.5 * (1.0 - waiting) * Flood.CAMERA_HZ, 'the test was too slow to flood the nodes'
    assert max(growth.values()) < GROWTH_MB, growth
    for rate, missing_hz in ((flooded_hz, flooded_missing_hz), (slow_hz, slow_missing_hz)):
        assert CONTROL_HZ * (1 - tolerance) - missing_hz <= rate <= CONTROL_HZ * (1 + tolerance)
    steps = [gate.seq for gate in whole.gates]
    assert steps == list(range(len(steps))), 'a step was lost'
