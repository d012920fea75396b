# SPDX-License-Identifier: Apache-2.0
"""`aura robot --from-urdf`: the joints and limits of a URDF, and files that are none."""

import sys
from itertools import pairwise

import pytest
import yaml

pytest.importorskip('urdf_parser_py')
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

from aura_ros.common.limits import TEXT_BYTES, URDF_JOINTS, XML_TAGS
from aura_ros.control import RobotConfig
from aura_ros.tools.robot.main import main

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
LIMIT = '<limit lower="-1.5" upper="2.5" velocity="2.0" effort="10"/>'


def joint(name: str, parent: str, child: str, kind: str = 'revolute', inside: str = LIMIT) -> str:
    return f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>{inside}</joint>'


def urdf(*parts: str) -> str:
    return f'<?xml version="1.0"?>\n<robot name="six">{"".join(parts)}</robot>'


# The gripper comes first, as exporters write it, although it is at the tip.
ARM = urdf(
    '<link name="base"><visual><geometry><mesh filename="package://nowhere/base.stl"/></geometry></visual></link>',
    joint('finger', 'hand', 'left', 'prismatic', '<limit upper="0.04" velocity="0.2" effort="5"/>'),
    joint('finger_2', 'hand', 'right', 'prismatic', '<limit upper="0.04" velocity="0.2"/><mimic joint="finger"/>'),
    joint('flange', 'link6', 'hand', 'fixed', ''),
    joint('wrist_3', 'link5', 'link6', 'continuous', '<limit velocity="4.0" effort="1"/>'),
    joint('wrist_2', 'link4', 'link5'),
    joint('wrist_1', 'link3', 'link4'),
    joint('elbow', 'link2', 'link3'),
    joint('shoulder', 'link1', 'link2', inside=LIMIT + '<dynamics damping="0.1"/><not_in_urdf/>'),
    joint('1', 'base', 'link1'),
    '<ros2_control name="arm"><joint name="elbow"/></ros2_control><gazebo reference="base"/>',
)
CHAIN = ['1', 'shoulder', 'elbow', 'wrist_1', 'wrist_2', 'wrist_3', 'finger']


@pytest.fixture
def convert(tmp_path, capsys):
    """Return a function that converts URDF text: exit code, robot file, error."""

    def run(text, *words):
        path = tmp_path / 'arm.urdf'
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        code = main(['--from-urdf', str(path), *words])
        return code, *capsys.readouterr()

    return run


def robot_of(text: str) -> RobotConfig:
    return RobotConfig.from_mapping(yaml.safe_load(text)['/**']['ros__parameters']['robot'])


def test_an_arm_with_a_gripper_becomes_a_robot_file(convert):
    code, text, error = convert(ARM)
    assert (code, error) == (0, '')
    robot = robot_of(text)
    assert list(robot.joint_names) == CHAIN
    assert robot.units == ('rad',) * 6 + ('m',)
    assert robot.position_lower == (-1.5,) * 5 + (-3.141592653589793, 0.0)
    assert robot.position_upper == (2.5,) * 5 + (3.141592653589793, 0.04)
    assert robot.velocity_max == (0.5,) * 5 + (1.0, 0.05)
    assert robot.step_max == (0.025,) * 5 + (0.05, 0.0025)
    assert robot.base_frame == 'base'
    assert 'Left out: flange (fixed), finger_2 (a mimic of finger).' in text
    assert 'velocity_max and step_max are 25 % of the\n# velocity limits of the URDF' in text
    assert '- 0.5  # elbow: 25 % of 2 rad/s' in text
    assert 'wrist_3 has no limit in the URDF; half a turn to each side' in text


def test_the_commented_outputs_are_ready_to_use(convert):
    _, text, _ = convert(ARM)
    start = text.index('      # outputs:')
    robot = robot_of(text[:start] + text[start:].replace('      # ', '      '))
    assert [output.joint_names for output in robot.outputs] == [tuple(CHAIN[:-1]), ('finger',)]
    _, text, _ = convert(ARM, '--joints', 'elbow')
    assert 'outputs' not in text


def test_joints_selects_and_orders(convert):
    code, text, _ = convert(ARM, '--joints', 'finger,elbow, shoulder', '--velocity-fraction', '0.5')
    assert code == 0
    robot = robot_of(text)
    assert robot.joint_names == ('finger', 'elbow', 'shoulder')
    assert robot.velocity_max == (0.1, 1.0, 1.0)


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        ('finger_2', "joint 'finger_2' is a mimic of finger"),
        ('flange', "joint 'flange' is fixed"),
        ('knee', "no joint 'knee': --joints must be among 1, shoulder, elbow"),
        ('elbow,elbow', "--joints contains 'elbow' twice"),
    ],
)
def test_joints_refuses_what_cannot_be_commanded(convert, words, expected):
    code, text, error = convert(ARM, '--joints', words)
    assert (code, text) == (2, '')
    assert expected in error


@pytest.mark.parametrize(
    ('inside', 'expected'),
    [
        ('', "joint 'bad' has no <limit>"),
        ('<limit lower="-1" upper="1" effort="1"/>', "joint 'bad' has no velocity limit"),
        ('<limit effort="1" velocity="1"/>', "joint 'bad' has no position limits"),
        ('<limit lower="-1" upper="1" velocity="0"/>', "joint 'bad' has the velocity limit 0.0: must be above 0"),
        ('<limit lower="-1" upper="1" velocity="inf"/>', "joint 'bad' has the velocity limit inf"),
        ('<limit lower="nan" upper="1" velocity="1"/>', "joint 'bad' has the position limits nan..1.0"),
        ('<limit lower="-1" upper="inf" velocity="1"/>', "joint 'bad' has the position limits -1.0..inf"),
        ('<limit lower="2" upper="1" velocity="1"/>', 'limits 2.0..1.0: must be finite, and lower below upper'),
        ('<limit lower="one" upper="1" velocity="1"/>', "joint 'bad': could not convert string to float: 'one'"),
    ],
)
def test_unusable_limits_name_the_joint(convert, inside, expected):
    code, text, error = convert(urdf(joint('good', 'a', 'b'), joint('bad', 'b', 'c', inside=inside)))
    assert (code, text) == (2, '')
    assert expected in error
    assert len(error.splitlines()) == 1


def test_a_joint_without_limits_can_be_left_out(convert):
    text = urdf(joint('good', 'a', 'b'), joint('bad', 'b', 'c', inside=''))
    assert convert(text, '--joints', 'good')[0] == 0


BOMB = '<!DOCTYPE r [<!ENTITY a "ha">'
BOMB += ''.join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise('abcdefghi')) + ']>'


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        (BOMB + '<robot name="x"><link name="&i;"/></robot>', 'has a DOCTYPE or an ENTITY'),
        ('<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><robot name="&a;"/>', 'has a DOCTYPE or an ENTITY'),
        (b'<robot>' + b' ' * 100_000_000 + b'</robot>', f'is larger than {TEXT_BYTES:,} bytes'),
        ('<robot>' + '<a/>' * XML_TAGS + '</robot>', f'has more than {XML_TAGS:,} XML tags'),
        ('<robot>' + '<link>' * 50_000 + '</link>' * 50_000 + '</robot>', 'not valid XML'),
        (urdf(joint('a', 'x', 'y'), joint('a', 'y', 'z')), "joint 'a' is defined twice"),
        (urdf(joint('', 'x', 'y')), "joint 1 is named ''"),
        (urdf(joint('a&#10;b: 1', 'x', 'y')), "joint 1 is named 'a\\nb: 1'"),
        (urdf(joint('\N{RIGHT-TO-LEFT OVERRIDE}a', 'x', 'y')), 'must have a printable name'),
        (urdf('<joint type="revolute"/>'), "joint 1 is named ''"),
        (urdf('<joint name="a"/>'), "joint 'a': Required"),
        (urdf(joint('a', 'x', 'y', 'bent')), "joint 'a': Invalid joint type: bent"),
        (urdf(), 'has no joints'),
        (urdf(joint('a', 'x', 'y', 'fixed', '')), 'has no movable joint'),
        (urdf(*(joint(f'j{n}', f'l{n}', f'l{n + 1}') for n in range(65))), 'joint_names has 65 entries'),
        (urdf(*(joint(f'j{n}', 'a', 'b') for n in range(URDF_JOINTS + 1))), f'has more than {URDF_JOINTS:,} joints'),
        ('<sdf version="1.9"/>', 'the root element is <sdf>: must be <robot>'),
        ('<robot>', 'is not valid XML'),
        ('', 'is not valid XML'),
        (b'\xff\xfe<\0r\0', 'is not UTF-8 text'),
        (b'\x00\x01\x02', 'is not valid XML'),
        ('<robot xmlns:xacro="x"><xacro:include filename="a"/></robot>', 'is a xacro file: run xacro first'),
        (urdf(joint('${prefix}elbow', 'a', 'b')), 'is a xacro file: run xacro first'),
        (urdf(joint('a', 'x', 'y', inside='<limit lower="${-pi}"/>')), 'is a xacro file: run xacro first'),
    ],
    ids=lambda value: str(value[-40:]) if isinstance(value, str | bytes) else None,
)
def test_hostile_and_wrong_files_are_one_sentence(convert, text, expected):
    code, made, error = convert(text)
    assert (code, made) == (2, '')
    assert expected in error
    assert len(error.splitlines()) == 1 and len(error) < 5000


def test_a_loop_of_joints_ends_and_a_namespace_changes_nothing(convert):
    loop = urdf(joint('a', 'x', 'y'), joint('b', 'y', 'x'))
    code, text, _ = convert(loop.replace('<robot ', '<robot xmlns="http://www.ros.org/wiki/urdf" '))
    assert code == 0
    assert robot_of(text).joint_names == ('a', 'b')


def test_names_are_quoted_where_yaml_reads_something_else(convert):
    names = ['yes', '1.5', 'a: b', '# c', '~', "it's", '[d', 'größe']
    links = range(len(names))
    code, text, _ = convert(urdf(*(joint(name, f'l{n}', f'l{n + 1}') for n, name in zip(links, names, strict=True))))
    assert code == 0
    assert list(robot_of(text).joint_names) == names


def test_output_is_written_once(convert, tmp_path, capsys):
    path = tmp_path / 'arm.yaml'
    assert convert(ARM, '--output', str(path))[0] == 0
    before = path.read_text()
    assert list(robot_of(before).joint_names) == CHAIN
    code, _, error = convert(ARM, '--output', str(path))
    assert code == 2 and 'exists already' in error
    assert path.read_text() == before
    assert main(['--check', str(path)]) == 0
    assert 'finger' in capsys.readouterr().out


@pytest.mark.parametrize('name', ['robot_description', '/nowhere/arm.urdf'])
def test_a_missing_file_reminds_of_topics(name, capsys):
    assert main(['--from-urdf', name]) == 2
    assert f'--from-urdf {name}: no such file; a topic begins with /' in capsys.readouterr().err


def test_the_missing_parser_names_the_extra(convert, monkeypatch):
    monkeypatch.setitem(sys.modules, 'urdf_parser_py.urdf', None)
    monkeypatch.delitem(sys.modules, 'aura_ros.tools.robot.urdf', raising=False)
    code, _, error = convert(ARM)
    assert code == 1
    assert error == 'aura robot: needs urdf_parser_py: pip install "aura_ros[robot]"\n'


@pytest.mark.graph
def test_the_topic_of_robot_state_publisher(graph, monkeypatch, capsys):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(graph.domain))
    publisher = graph.node.create_publisher(String, 'left/robot_description', LATCHED)
    publisher.publish(String(data=ARM))
    assert main(['--from-urdf', '/left/robot_description']) == 0
    text, error = capsys.readouterr()
    assert list(robot_of(text).joint_names) == CHAIN, error
    assert 'URDF of six (/left/robot_description)' in text


@pytest.mark.graph
def test_a_topic_without_message_or_with_a_large_one(graph, monkeypatch, capsys):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(graph.domain))
    publisher = graph.node.create_publisher(String, 'robot_description', LATCHED)
    assert main(['--from-urdf', '/robot_description', '--timeout', '0.2']) == 1
    assert 'no message on /robot_description within 0.2 s' in capsys.readouterr().err
    publisher.publish(String(data='<robot>' + ' ' * TEXT_BYTES + '</robot>'))
    assert main(['--from-urdf', '/robot_description']) == 2
    assert f'is larger than {TEXT_BYTES:,} bytes' in capsys.readouterr().err
