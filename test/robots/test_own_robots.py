# SPDX-License-Identifier: Apache-2.0
"""docs/robot.md from the dry run to a killed memory, on two robots that the package does not know."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip('rosbags')
pytest.importorskip('torch')

from documented import Desk
from geometry_msgs.msg import TwistStamped
from own_robots import ARM, GRIPPER, OPEN_M
from ros_graph import Graph, free_domain
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from aura_ros.client import AuraClient
from aura_ros.ros import qos

DRIVERS = Path(__file__).parents[1] / 'support' / 'own_robots.py'
NODES = ['vla_node', 'memory_node', 'kv_baseline_node', 'policy_switch_node']
ARM_FILE = f"""\
/**:
  ros__parameters:
    joint_max_age_s: 0.5
    robot:
      joint_names: [{', '.join(ARM)}, {GRIPPER}]
      units: [rad, rad, rad, rad, rad, rad, m]
      position_lower: [-1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 0.0]
      position_upper: [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, {OPEN_M}]
      velocity_max: [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 0.5]
      step_max: [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.02]
      control_hz: 20.0
      joint_state_topics: [/arm/joint_states, /gripper/joint_states]
      outputs: [arm, hand]
      arm:
        joint_names: [{', '.join(ARM)}]
        command_type: joint_trajectory
        command_topic: /arm_controller/joint_trajectory
      hand:
        joint_names: [{GRIPPER}]
        command_type: float64_multi_array
        command_topic: /gripper_controller/commands
      mapped_joints: [{GRIPPER}]
      map_{GRIPPER}:
        policy: [0.0, 1.0]
        robot: [0.0, {OPEN_M}]
"""
TWIST_FILE = """\
/**:
  ros__parameters:
    joint_max_age_s: 0.5
    command_topic: /servo_node/delta_twist_cmds
    robot:
      joint_names: [linear_x, linear_y, linear_z, angular_x, angular_y, angular_z]
      position_lower: [-0.1, -0.1, -0.1, -0.2, -0.2, -0.2]
      position_upper: [0.1, 0.1, 0.1, 0.2, 0.2, 0.2]
      velocity_max: [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
      step_max: [0.05, 0.05, 0.05, 0.05, 0.05, 0.05]
      control_hz: 20.0
      command_type: twist_stamped
      base_frame: tool0
"""
BACKBONE_FILE = '/**:\n  ros__parameters:\n    backbone: own_robots:{}\n    max_age_s: 0.5\n'


@dataclass(frozen=True)
class Robot:
    """A robot and its VLA."""

    name: str
    file: str
    cameras: str
    commands: dict[str, Any]
    """Message type by topic."""


ROBOTS = (
    Robot(
        'arm',
        ARM_FILE,
        '{front: /cam0/image_raw, side: /cam1/image_raw/compressed, top: /cam2/image_raw}',
        {'/arm_controller/joint_trajectory': JointTrajectory, '/gripper_controller/commands': Float64MultiArray},
    ),
    Robot('twist', TWIST_FILE, '{wrist: /wrist_cam/image}', {'/servo_node/delta_twist_cmds': TwistStamped}),
)


class Lab:
    """The driver of a robot, a folder with its files, and what it receives."""

    def __init__(self, robot: Robot, folder: Path, graph: Graph) -> None:
        self.robot, self.folder, self.graph = robot, folder, graph
        self.desk = Desk(folder, graph.domain)
        (folder / 'robot.yaml').write_text(robot.file)
        (folder / 'vla.yaml').write_text(BACKBONE_FILE.format(f'{robot.name}_vla'))
        self.commands = {topic: graph.listen(kind, topic, qos.COMMAND) for topic, kind in robot.commands.items()}
        self.desk.start('driver', ['python', str(DRIVERS), robot.name])

    def run(self, *words: str) -> str:
        """Run a command to its end; return its output."""
        process, log = self.desk.start(' '.join(words[:2]), list(words))
        process.wait()
        self.desk.forget(process)
        output = log.read_text()
        assert process.returncode == 0, self.desk.output(log)
        return output

    def launch(self, *arguments: str) -> Any:
        """Start the graph with the files of this robot; return the process."""
        files = ('robot_file:=robot.yaml', 'backbone_file:=vla.yaml', f'cameras:={self.robot.cameras}')
        process, _ = self.desk.start('launch', ['aura', 'launch', 'aura.launch.yaml', *files, *arguments])
        return process

    def stop(self, process: Any) -> None:
        """End a launch with Ctrl-C."""
        os.killpg(process.pid, signal.SIGINT)
        self.graph.until(lambda: process.poll() is not None, 'the end of the launch', 60.0)
        self.desk.forget(process)
        assert process.returncode in (0, 130)

    def moved(self) -> bool:
        """Return whether every output has received commands since the last `clear`."""
        return all(len(found) > 10 for found in self.commands.values())

    def clear(self) -> None:
        """Forget the commands so far."""
        for found in self.commands.values():
            found.clear()


@pytest.fixture(params=ROBOTS, ids=lambda robot: robot.name)
def lab(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A robot with its driver."""
    folder = tmp_path / 'home'
    folder.mkdir()
    with free_domain() as domain:
        monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
        graph = Graph(domain, tmp_path)
        found = Lab(request.param, folder, graph)
        try:
            yield found
        finally:
            graph.close()
            found.desk.close()


@pytest.mark.graph
@pytest.mark.torch
@pytest.mark.timeout(900)
def test_from_the_dry_run_to_a_killed_memory(lab: Lab) -> None:
    backbone = f'own_robots:{lab.robot.name}_vla'

    # 3. Dry run: the graph works, and no command leaves.
    launch = lab.launch('policy:=base')
    with AuraClient(timeout_s=60.0) as client:
        client.wait_for(*NODES)
        client.run_episode('follow the lamp', max_steps=5)
        assert client.status().policy == 'base'
    lab.stop(launch)
    assert not any(lab.commands.values())

    # 2. and 4. The base policy drives, and the whole graph is recorded.
    launch = lab.launch('policy:=base', 'enable_control:=true', 'record:=monday')
    with AuraClient(timeout_s=60.0) as client:
        client.wait_for(*NODES)
        result = client.run_episode('follow the lamp', max_steps=60)
        assert result.success, result.reason
    lab.graph.until(lab.moved, 'commands on every output')
    lab.stop(launch)

    # The recording has all that a replay and a training need.
    lab.run('aura', 'replay', 'monday', '--backbone', backbone, '--policies', 'base', '--cache', 'cache')
    (base,) = json.loads((lab.folder / 'aura_replay' / 'report.json').read_text())['summary']['policies']
    assert base['steps'] > 30
    # The recorded commands are those of base, in its own units: a gripper in metres would be 0.9 off.
    assert max(joint['mean'] for joint in base['joint_errors']) < 0.4
    train = ('aura', 'train', 'memory', '--from-bags', 'monday', '--backbone', backbone, '--memory', 'both')
    lab.run(*train, '--steps', '30', '--round-steps', '3', '--work-dir', 'work')
    weights = ('aura_weights:=my_weights/aura.safetensors', 'kv_weights:=my_weights/kv.safetensors')

    # 4. The memories drive; the policy changes while an episode runs.
    lab.clear()
    launch = lab.launch('policy:=aura', 'enable_control:=true', *weights)
    with AuraClient(timeout_s=60.0) as client:
        client.wait_for(*NODES)
        episode = client.start_episode('follow the lamp')
        for policy in ('kv', 'base', 'aura'):
            client.select_policy(policy, retry_s=20.0)
            lab.clear()
            lab.graph.until(lab.moved, f'commands of {policy}')

        # A killed memory holds the robot, and drives again after its restart.
        killed = next(
            child for child in psutil.Process(launch.pid).children(recursive=True) if _is(child, 'memory_node')
        )
        killed.kill()
        client.spin_until(lambda: client.status().holding, 30.0)
        assert client.status().holding
        assert client.spin_until(lambda: not client.status().holding, 60.0), client.status()
        episode.cancel()
    lab.stop(launch)


def _is(process: psutil.Process, node: str) -> bool:
    try:
        return any(word.endswith(f'/{node}') for word in process.cmdline())
    except psutil.Error:
        return False
