# SPDX-License-Identifier: Apache-2.0
"""`aura robot`: presets, and checks of robot files."""

import re
import shutil
from pathlib import Path

import pytest
import rclpy
import yaml
from rclpy.node import Node

from aura_ros.control.robot_file import NODE, read_robot_file
from aura_ros.nodes.policy_switch.config import SwitchNodeConfig
from aura_ros.ros import share
from aura_ros.ros.contract_arguments import without_contracts
from aura_ros.ros.lifecycle import run
from aura_ros.ros.parameters import ParameterSet
from aura_ros.ros.robot_file import RobotFile, RobotParameters
from aura_ros.tools.robot.files import presets
from aura_ros.tools.robot.main import main

ROOT = Path(__file__).parents[2]
PRESETS = presets()
SHIPPED = [
    *PRESETS.values(),
    *(ROOT / 'config' / name for name in ('example_6dof.yaml', 'example_gripper.yaml', 'sim_arm.yaml')),
]
WANTED = {'so101', 'ur5e', 'fr3', 'xarm6', 'xarm7', 'viperx300', 'viperx300s'}


def test_the_presets_are_the_files_of_the_package():
    assert set(PRESETS) >= WANTED
    assert {path.parent for path in PRESETS.values()} == {ROOT / 'config/robots'}


def test_the_presets_are_installed_with_the_configuration(tmp_path, monkeypatch):
    """CMake installs the folder config; without a source tree the presets come from there."""
    assert 'install(DIRECTORY launch config\n' in (ROOT / 'CMakeLists.txt').read_text()
    shutil.copytree(ROOT / 'config', tmp_path / 'share/aura_ros/config')
    index = tmp_path / 'share/ament_index/resource_index/packages'
    index.mkdir(parents=True)
    (index / 'aura_ros').touch()
    monkeypatch.setattr(share, '__file__', str(tmp_path / 'lib/aura_ros/ros/share.py'))
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    assert {path.parent for path in presets().values()} == {tmp_path / 'share/aura_ros/config/robots'}
    assert set(presets()) == set(PRESETS)


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_file_reaches_the_node_as_it_is_checked(path):
    """ROS parses the file, and the parameters of the node give the robot that `--check` sees."""
    robot, switch = as_the_node_reads(path)
    checked = read_robot_file(path)
    assert robot == checked.robot
    assert switch.command_topic == checked.command_topic


CONTRACT = """
robot_type: small
fps: 20
observations:
  observation.state:
    channel: {topic: /joint_states, type: sensor_msgs/msg/JointState}
    align: {strategy: hold, timeline: header}
    select: [position.a, position.b]
    apply: [rad2deg]
actions:
  action:
    channel: {topic: /joint_commands, type: sensor_msgs/msg/JointState, safety: hold}
    align: {strategy: hold, timeline: header}
    select: [position.a, position.b]
    apply: [rad2deg]
x-aura: {position_lower: [-1, -1.5], position_upper: [1, 1], velocity_max: [1, 1], step_max: [0.05, 0.1]}
"""


def test_a_contract_reaches_the_node_as_it_is_checked(tmp_path):
    """A contract among the parameter files of a node becomes parameters, and leaves no temporary file."""
    path = tmp_path / 'contract.yaml'
    path.write_text(CONTRACT)
    robot, _ = as_the_node_reads(path)
    assert robot == read_robot_file(path).robot
    assert robot.joint_names == ('a', 'b') and robot.position_lower == (-1.0, -1.5)
    with without_contracts(['--params-file', str(path), '--params-file', 'none.yaml', '--params-file']) as found:
        made = Path(found[1])
        assert made.is_file() and found[2:] == ['--params-file', 'none.yaml', '--params-file']
    assert not made.exists()


def test_a_node_with_an_unusable_contract_does_not_start(tmp_path, capfd):
    path = tmp_path / 'contract.yaml'
    path.write_text(CONTRACT.replace('velocity_max', 'speed_max'))
    started = []
    assert run(lambda: started.append(True), ['--ros-args', '--params-file', str(path)]) == 2
    assert not started and 'x-aura.velocity_max is missing' in capfd.readouterr().err


def as_the_node_reads(path):
    """Return the robot and the settings of a node that starts with a parameter file."""
    context = rclpy.Context()
    try:
        with without_contracts(['--ros-args', '--params-file', str(path)]) as arguments:
            rclpy.init(args=arguments, context=context)
        node = Node(NODE, context=context, start_parameter_services=False, enable_rosout=False)
        robot = RobotFile(node, RobotParameters, lambda: False).robot()
        switch = ParameterSet(node, SwitchNodeConfig).read()
        node.destroy_node()
    finally:
        context.try_shutdown()
    return robot, switch


@pytest.mark.parametrize('path', PRESETS.values(), ids=lambda path: path.stem)
def test_a_preset_names_its_sources_and_moves_slowly(path):
    robot = read_robot_file(path).robot
    comments = path.read_text().partition('/**:')[0]
    assert 'limits: ' in comments or 'Limits of the arm: ' in comments
    assert 'Controller' in comments and any(character.isdigit() for character in comments)
    for output in robot.outputs:
        for joint in robot.columns(output):
            if output.command_type == 'gripper_command':  # the driver sets the speed
                assert robot.step_max[joint] == robot.position_upper[joint] - robot.position_lower[joint]
            else:
                assert robot.step_max[joint] * robot.control_hz <= 0.26 * robot.velocity_max[joint]


@pytest.mark.parametrize('path', PRESETS.values(), ids=lambda path: path.stem)
def test_the_gripper_of_a_preset_has_an_output_and_a_map_that_is_ready(path, tmp_path, capsys):
    """The commented map of the gripper is valid, and uses the whole range of the joint."""
    text = path.read_text()
    if path.stem == 'ur5e':  # is sold without a gripper
        assert 'mapped_joints' not in text
        return
    mapped = re.sub(r'^( +)# ((?:mapped_joints|map_\w+|  policy|  robot):.*)$', r'\1\2', text, flags=re.MULTILINE)
    copy = tmp_path / 'mapped.yaml'
    copy.write_text(mapped)
    robot = read_robot_file(copy).robot
    (gripper,) = robot.sources.maps
    joint = robot.joint_names.index(gripper)
    ends = robot.sources.maps[gripper].robot
    assert sorted(ends) == [robot.position_lower[joint], robot.position_upper[joint]]
    assert [output.joint_names for output in robot.outputs][-1] == (gripper,)
    assert main(['--check', str(copy)]) == 0
    assert f'{gripper}: 0..1' in capsys.readouterr().out


def test_list_names_every_preset(capsys):
    assert main(['--list']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(PRESETS)
    assert all(len(line.split()) > 2 and len(line) <= 110 for line in lines)


def test_preset_is_copied_or_printed(tmp_path, capsys):
    copy = tmp_path / 'mine.yaml'
    assert main(['--preset', 'ur5e', '--output', str(copy)]) == 0
    assert copy.read_bytes() == PRESETS['ur5e'].read_bytes()
    capsys.readouterr()
    assert main(['--preset', 'ur5e']) == 0
    assert capsys.readouterr().out == copy.read_text()
    assert main(['--preset', 'ur5e', '--output', str(copy)]) == 2
    assert 'exists already' in capsys.readouterr().err


def test_an_unknown_preset_lists_the_presets(capsys):
    assert main(['--preset', 'ur5']) == 2
    error = capsys.readouterr().err
    assert "no preset 'ur5'; did you mean ur5e?" in error and all(name in error for name in PRESETS)


def test_check_shows_joints_limits_and_output(capsys):
    assert main(['--check', str(PRESETS['ur5e'])]) == 0
    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if 'elbow_joint' in line)
    assert row.split()[1:5] == ['rad', '-3.142', '3.142', '3.142']
    assert 'output of all joints: joint_trajectory on scaled_joint_trajectory_controller/joint_trajectory' in text


def test_check_shows_several_outputs(capsys):
    assert main(['--check', str(PRESETS['fr3'])]) == 0
    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if 'fr3_finger_joint1' in line)
    assert row.split()[-1] == 'hand'
    assert 'output hand: gripper_command on franka_gripper/gripper_action, at most 20 N' in text
    assert 'joint states: joint_states\n' in text


def test_check_shows_names_with_markup_as_they_are(tmp_path, capsys):
    path = tmp_path / 'robot.yaml'
    path.write_text(PRESETS['ur5e'].read_text().replace('elbow_joint', "'[red]elbow[/]'"))
    assert main(['--check', str(path)]) == 0
    assert '[red]elbow[/]' in capsys.readouterr().out


def check(tmp_path, capsys, change):
    """Return the error of a check of a changed preset."""
    data = yaml.safe_load(PRESETS['ur5e'].read_text())
    change(data['/**']['ros__parameters'])
    path = tmp_path / 'robot.yaml'
    path.write_text(yaml.safe_dump(data))
    assert main(['--check', str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f'aura robot: {path}: ') and len(error.splitlines()) == 1
    return error


@pytest.mark.parametrize(
    ('key', 'value', 'expected'),
    [
        ('velocity_maximum', [1.0] * 6, "'velocity_maximum' is unknown"),
        ('step_max', [0.1] * 5, 'step_max has 5 entries: must be 6'),
        ('position_lower', [-1, 0.5, 0.0, 0.0, 0.0, 0.0], 'mixes float and int, which ROS refuses: write every number'),
        ('joint_names', ['a', 'b', 3, 'c', 'd', 'e'], 'mixes int and str, which ROS refuses'),
        ('position_upper', [-7.0] * 6, 'position_lower of shoulder_pan_joint = -6.28318: must be below'),
    ],
)
def test_check_names_what_is_wrong(key, value, expected, tmp_path, capsys):
    assert expected in check(tmp_path, capsys, lambda given: given['robot'].update({key: value}))


def test_check_refuses_other_files(tmp_path, capsys):
    assert "has no group 'robot'" in check(tmp_path, capsys, lambda given: given.pop('robot'))
    assert "must begin with '/**:'" in check(tmp_path, capsys, lambda given: given.clear())


def test_check_reads_other_names_of_the_node_and_dotted_parameters(tmp_path, capsys):
    values = yaml.safe_load(PRESETS['ur5e'].read_text())['/**']['ros__parameters']
    dotted = {f'robot.{key}': value for key, value in values['robot'].items()}
    data = {
        'vla_node': {'ros__parameters': {'backbone': 'embedded'}},
        '/left/policy_switch_node': {'ros__parameters': dotted},
    }
    path = tmp_path / 'robot.yaml'
    path.write_text(yaml.safe_dump(data))
    assert main(['--check', str(path)]) == 0
    assert 'joint_trajectory on joint_command' in capsys.readouterr().out


@pytest.mark.parametrize('words', [[], ['--list', '--check', 'x'], ['--joints', 'a,,b'], ['--velocity-fraction', '2']])
def test_wrong_use(words, capsys):
    assert main(words if words[:1] in ([], ['--list']) else ['--from-urdf', 'x.urdf', *words]) == 2
    assert capsys.readouterr().err.endswith('See aura robot --help.\n')
