# SPDX-License-Identifier: Apache-2.0
"""F23: however a launch or a node is stopped, the queued state is committed and the last hold leaves."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from aura_ros.msg import PolicyStatus, VlaStep, WriteEvent
from fakes import CHUNK_LEN, FEATURES, JOINTS, SPEC, aura
from sensor_msgs.msg import JointState
from terminal import Terminal
from trajectory_msgs.msg import JointTrajectory

from aura_ros.memory import Step
from aura_ros.ros import conversions, qos
from aura_ros.ros.sensor_messages import joints_to_msg
from aura_ros.state.store import StateStore

pytestmark = [pytest.mark.graph, pytest.mark.timeout(300), pytest.mark.fault('F23')]
ROOT = Path(__file__).parents[2]
EPISODE = '00000000-0000-4000-8000-000000000001'
TARGET, TOLERANCE, PERIOD_S, LEASE_S = 0.05, 1e-6, 0.03, 10.0
WAIT_S = 20.0
LAUNCH_FILE = f"""\
launch:
- node:
    pkg: aura_ros
    exec: memory_node
    param:
    - {{name: autostart, value: true}}
    - {{name: memory, value: 'fakes:aura'}}
    - {{name: state_file, value: 'STATE'}}
    - {{name: commit_period_s, value: 60.0}}
    - {{name: on_new_episode, value: keep}}
- node:
    pkg: aura_ros
    exec: policy_switch_node
    param:
    - {{from: '{ROOT}/config/sim_arm.yaml'}}
    - {{name: autostart, value: true}}
    - {{name: enable_control, value: true}}
    - {{name: policy, value: base}}
    - {{name: joint_max_age_s, value: 10.0}}
    - {{name: liveliness_lease_s, value: {LEASE_S}}}
"""


class Robot:
    """The inputs and outputs of memory_node and policy_switch_node, which `aura launch` starts."""

    def __init__(self, graph: Any, folder: Path) -> None:
        self.graph, self.folder = graph, folder
        self.state = folder / 'aura.state'
        self.file = folder / 'two.launch.yaml'
        self.file.write_text(LAUNCH_FILE.replace('STATE', str(self.state)))
        self.events = graph.listen(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
        self.commands = graph.listen(JointTrajectory, 'joint_command', qos.COMMAND)
        self.statuses = graph.listen(PolicyStatus, 'policy_status', qos.POLICY_STATUS)
        self._steps = graph.node.create_publisher(VlaStep, 'vla_step', qos.step(LEASE_S))
        self._joints = graph.node.create_publisher(JointState, 'joint_states', qos.JOINT_STATES_OUT)
        self._seq = 0
        path = [str(ROOT), str(ROOT / 'test/support'), os.environ.get('PYTHONPATH', '')]
        self.environment = os.environ | {
            'ROS_DOMAIN_ID': str(graph.domain),
            'PYTHONPATH': os.pathsep.join(filter(None, path)),
            'ROS_LOG_DIR': str(folder / 'log'),
        }
        self.command = [sys.executable, '-m', 'aura_ros.tools.launch', '--force-own', str(self.file)]

    def drive(self) -> None:
        """Publish steps and joints until the base policy drives and a write is queued, but not durable."""
        self.graph.matched(self._steps, 2)
        self.graph.until(self._driven, 'the base policy drives and the memory writes')

    def _driven(self) -> bool:
        stamp_ns = self.graph.node.get_clock().now().nanoseconds
        actions = np.full((CHUNK_LEN, len(JOINTS)), TARGET, np.float32)
        actions[:, -1] = 0.0
        features = np.full(FEATURES, 0.5, np.float32)
        step = Step(EPISODE, self._seq, stamp_ns, features, actions, 0.05, 1.0, frame_id='base_link')
        self._seq += 1
        self._joints.publish(joints_to_msg(JOINTS, np.zeros(len(JOINTS)), np.zeros(len(JOINTS)), stamp_ns))
        self._steps.publish(conversions.step_to_msg(step))
        self.graph.spin(PERIOD_S)
        queued = [event for event in self.events if event.durability == WriteEvent.DURABILITY_QUEUED]
        drives = bool(self.commands) and self._commanded() > TARGET - TOLERANCE
        # the status may be discovered after the commands
        drives = drives and bool(self.statuses) and not self.statuses[-1].holding
        return drives and len(queued) > 5

    def _commanded(self) -> float:
        """Return the newest command to the first joint [rad]."""
        return float(self.commands[-1].points[-1].positions[0])

    def nodes(self) -> list[psutil.Process]:
        """Return the processes of the two nodes."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get('ROS_DOMAIN_ID') == str(self.graph.domain):
                    found += [process] if 'lib/aura_ros/' in ' '.join(process.cmdline()) else []
            except psutil.Error:
                continue
        return found

    def check_stop(self, nodes: list[psutil.Process]) -> str:
        """Wait until all nodes have ended, and assert that nothing is lost; return what was measured."""
        began = time.monotonic()
        self.graph.until(lambda: not any(map(_runs, nodes)), 'all nodes have ended', WAIT_S)
        seconds = time.monotonic() - began
        self.graph.until(lambda: 'deactivated' in self.statuses[-1].reason, 'the status of the last hold', WAIT_S)
        assert self.statuses[-1].holding
        newest = self.events[-1]
        memory = aura()
        store = StateStore(self.state, SPEC.backbone_hash, memory.state_layout, len(memory.export()))
        try:
            snapshot = store.load().snapshot
        finally:
            store.close()
        assert snapshot.writes >= newest.writes
        assert snapshot.seq >= newest.seq
        return f'ended in {seconds:.1f} s, {snapshot.writes} queued writes kept, status of the last hold received'


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def robot(graph: Any, tmp_path: Path) -> Iterator[Robot]:
    """The graph of the test with the files of a launch; all nodes are killed in the end."""
    found = Robot(graph, tmp_path)
    yield found
    for node in found.nodes():
        node.kill()


def _double_ctrl_c(process: 'subprocess.Popen[bytes]') -> None:
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)


def _kill_with_guard(process: 'subprocess.Popen[bytes]') -> None:
    launcher = psutil.Process(process.pid)
    (guard,) = (child for child in launcher.children() if child.cmdline() == launcher.cmdline())
    guard.kill()
    process.kill()


STOPS: Mapping[str, Callable[[Any], None]] = {
    'Ctrl-C twice in 0.2 s': _double_ctrl_c,
    'SIGHUP': lambda process: process.send_signal(signal.SIGHUP),
    'launcher killed': lambda process: process.kill(),
    'launcher and guard killed': _kill_with_guard,
}


@pytest.mark.parametrize('how', STOPS)
def test_a_stop_of_the_launcher_loses_nothing(robot: Robot, measured: Any, how: str) -> None:
    if 'guard' in how and sys.platform != 'linux':
        pytest.skip('the kernel sends the signal only on Linux')
    with (robot.folder / 'launch.log').open('w') as log:
        process = subprocess.Popen(robot.command, env=robot.environment, cwd=ROOT, stdout=log, stderr=log)
    try:
        robot.drive()
        nodes = robot.nodes()
        STOPS[how](process)
        measured(f'{how}: {robot.check_stop(nodes)}')
        process.wait(WAIT_S)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(WAIT_S)


@pytest.mark.skipif(shutil.which('bash') is None, reason='needs bash')
@pytest.mark.parametrize('how', ['', ' &', ' > launch.log 2>&1'])
def test_a_closed_terminal_loses_nothing(robot: Robot, measured: Any, how: str) -> None:
    with Terminal(robot.environment) as terminal:
        terminal.type_line(f'cd {robot.folder}; {shlex.join(robot.command)}{how}')
        robot.drive()
        nodes = robot.nodes()
        terminal.close()
        measured(f'terminal closed, FILE{how}: {robot.check_stop(nodes)}')


def test_a_node_in_a_closed_terminal_commits_its_state(robot: Robot, graph: Any, measured: Any) -> None:
    words = f"""--ros-args -p autostart:=true -p memory:=fakes:aura -p commit_period_s:=60.0
        -p on_new_episode:=keep -p state_file:={robot.state}""".split()
    switch = graph.start(
        'policy_switch_node',
        '--params-file',
        str(ROOT / 'config/sim_arm.yaml'),
        autostart=True,
        enable_control=True,
        policy='base',
        joint_max_age_s=10.0,
        liveliness_lease_s=LEASE_S,
    )
    memory = (sys.executable, str(ROOT / 'scripts/memory_node'), *words)
    with Terminal(robot.environment, memory) as terminal:
        robot.drive()
        terminal.close()
        assert terminal.process.wait(WAIT_S) == 0
        switch.send_signal(signal.SIGHUP)
        measured(f'SIGHUP of each node: {robot.check_stop([psutil.Process(switch.pid)])}')
        assert switch.wait(WAIT_S) == 0
