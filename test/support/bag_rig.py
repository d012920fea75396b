# SPDX-License-Identifier: Apache-2.0
"""Recording a run of the embedded robot, and playing a recording through the real nodes."""

import signal

from aura_ros.action import RunEpisode
from aura_ros.msg import GateSample, TaskEvent, WriteEvent
from rclpy.action import ActionClient
from rclpy.qos import QoSProfile
from ros_graph import CONFIG

from aura_ros.ros import qos

TIMING = ('--params-file', str(CONFIG / 'lockstep_recorded.yaml'))
ROBOT = ('--params-file', str(CONFIG / 'sim_arm.yaml'))
TASK = {'task': 'recall', 'split': 'train', 'seed': 3}
# The test must not lose a message while it is busy.
_EVERY_ONE = QoSProfile(depth=5000)


class Heard:
    """What the AURA memory said, as text in which no two floats that differ in a bit read alike."""

    def __init__(self, graph):
        self.gates = graph.listen(GateSample, 'aura/gate', _EVERY_ONE)
        self.events = graph.listen(WriteEvent, 'aura/write_event', _EVERY_ONE)

    def clear(self):
        """Forget what was heard."""
        self.gates.clear()
        self.events.clear()


def record(graph, path, rounds=2, **recorder):
    """Let the real nodes drive the simulated arm in lock-step and record them; returns the recorder's process."""
    common = {'autostart': True, 'use_sim_time': True}
    events = graph.listen(TaskEvent, 'sim/event', qos.TASK_EVENT)
    recorder = graph.start('recorder', path=path, use_sim_time=True, **recorder)
    graph.start('vla_node', *TIMING, **common)
    graph.start('memory_node', *TIMING, **common)
    graph.start('kv_baseline_node', *TIMING, **common)
    graph.start('policy_switch_node', *TIMING, *ROBOT, enable_control=True, **common)
    graph.start('sim_node', **TASK, rounds=rounds, lockstep=True, use_sim_time=True)
    client = ActionClient(graph.node, RunEpisode, 'run_episode')
    graph.until(client.server_is_ready, 'run_episode')
    handle = graph.until(lambda: _accepted(graph, client), 'an accepted goal')
    graph.until(lambda: any(event.last for event in events), 'the end of the task', timeout_s=120.0)
    cancelled = handle.cancel_goal_async()
    graph.until(cancelled.done, 'the end of the episode')
    return recorder


def stop(graph, process):
    """End a process as Ctrl-C does; returns its exit code."""
    process.send_signal(signal.SIGINT)
    graph.until(lambda: process.poll() is not None, 'the end of a process')
    return process.returncode


def _accepted(graph, client):
    future = client.send_goal_async(RunEpisode.Goal(instruction='', max_steps=0))
    graph.until(future.done, 'answer to the goal')
    if future.result().accepted:
        return future.result()
    graph.spin(0.2)
    return None
