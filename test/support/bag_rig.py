# SPDX-License-Identifier: Apache-2.0
"""Records a run of the embedded robot with the real nodes."""

import signal

from aura_ros.action import RunEpisode
from aura_ros.msg import GateSample, TaskEvent, WriteEvent
from rclpy.action import ActionClient
from ros_graph import CONFIG

from aura_ros.ros import qos

TIMING = ('--params-file', str(CONFIG / 'lockstep_recorded.yaml'))
ROBOT = ('--params-file', str(CONFIG / 'sim_arm.yaml'))
TASK = {'task': 'recall', 'split': 'train', 'seed': 3}


class MemoryOutput:
    """The messages of the AURA memory."""

    def __init__(self, graph):
        self.gates = graph.listen(GateSample, 'aura/gate', qos.GATE)
        self.events = graph.listen(WriteEvent, 'aura/write_event', qos.WRITE_EVENT_LIVE)

    def clear(self):
        """Drop the received messages."""
        self.gates.clear()
        self.events.clear()


def record(graph, path, rounds=2, **recorder):
    """Run the real nodes with the simulated arm in lock-step and record them; return the recorder's process."""
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
    """Stop a process with SIGINT and return its exit code."""
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
