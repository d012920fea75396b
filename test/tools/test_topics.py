# SPDX-License-Identifier: Apache-2.0
"""`aura topics` as a process beside a real graph."""

import array
import re
import signal

import pytest
import yaml
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String

from aura_ros.common.errors import InputError
from aura_ros.ros.graph import TopicError, message_class
from aura_ros.tools.topics.text import NoEntryError, as_text, select

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.mark.graph
def test_list_names_topics_and_types_but_no_hidden_ones(graph, view):
    graph.node.create_publisher(String, 'greeting', 1)
    graph.node.create_publisher(String, '_secret', 1)
    graph.node.create_subscription(Image, 'wanted', print, 1)
    viewer = view('list', '-t')
    assert viewer.ended() == 0, viewer.err
    lines = viewer.out.splitlines()
    assert {'/greeting [std_msgs/msg/String]', '/wanted [sensor_msgs/msg/Image]'} <= set(lines)
    assert 'secret' not in viewer.out
    assert lines == sorted(lines)


@pytest.mark.graph
def test_echo_once_of_a_latched_field(graph, view):
    publisher = graph.node.create_publisher(JointState, 'joints', LATCHED)
    publisher.publish(JointState(name=['a', 'b'], position=array.array('d', [0.25, -1.5])))
    viewer = view('echo', 'joints', '--once', '--field', 'position')
    assert viewer.ended() == 0, viewer.err
    assert viewer.out == '[0.25, -1.5]\n---\n'


@pytest.mark.graph
def test_echo_receives_a_best_effort_publisher_that_joins_after_a_reliable_one(graph, view):
    make = graph.node.create_publisher
    first = make(String, 'talk', QoSProfile(depth=1))
    viewer = view('echo', '/talk', '--field', 'data')
    viewer.until(lambda: 'first' in viewer.out, lambda: first.publish(String(data='first')))
    second = make(String, 'talk', QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    viewer.until(lambda: 'second' in viewer.out, lambda: second.publish(String(data='second')))
    viewer.process.send_signal(signal.SIGINT)
    assert viewer.ended() == 130
    assert viewer.err == ''


@pytest.mark.graph
def test_an_unknown_topic_is_an_error_with_a_hint(graph, view):
    graph.node.create_publisher(String, 'aura/greeting', 1)
    viewer = view('echo', 'greeting')
    assert viewer.ended() == 1
    assert viewer.err.startswith('aura topics: no topic /greeting after 5 s on ROS domain ')
    assert 'did you mean /aura/greeting?' in viewer.err
    assert viewer.err.count('\n') == 1


@pytest.mark.graph
def test_an_unknown_field_is_an_error_before_any_message(graph, view):
    graph.node.create_publisher(String, 'greeting', 1)
    viewer = view('echo', 'greeting', '--field', 'date')
    assert viewer.ended() == 2
    assert viewer.err == "aura topics: field 'date': String has no 'date', it has data\n"


def test_a_type_that_is_not_installed_is_an_error_with_the_fix():
    with pytest.raises(TopicError, match=r'nav_msgs/msg/Odd .*pip install ros-nav-msgs'):
        message_class('nav_msgs/msg/Odd')
    with pytest.raises(TopicError, match=r'std_msgs/msg/Odd is not installed'):
        message_class('std_msgs/msg/Odd')


def test_text_cuts_long_lists_and_escapes_control_characters():
    image = Image(height=2, encoding='a\x1b[2J', data=array.array('B', range(20)))
    lines = as_text(image).splitlines()
    assert lines[:3] == ['header:', '  stamp:', '    sec: 0']
    assert 'encoding: "a\\u001b[2J"' in lines
    assert 'data: [0, 1, 2, 3, 4, 5, 6, 7, ... 20 entries]' in lines
    assert as_text(image.data, 'sequence<uint8>', whole=True).endswith('18, 19]')


def test_text_of_nested_messages_and_float32():
    from aura_ros.msg import GateSample
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

    status = DiagnosticStatus(name='n', values=[KeyValue(key='k', value='')])
    text = as_text(DiagnosticArray(status=[status]))
    assert 'status:\n- level: 0x00\n  name: n\n' in text
    assert '  values:\n  - key: k\n    value: ""' in text
    value, kind = select(GateSample(gate=0.1), 'gate')
    assert as_text(value, kind) == '0.1'


def test_a_path_leads_to_a_field_or_to_an_error():
    joints = JointState(name=['a', 'b'])
    assert select(joints, 'name[1]') == ('b', 'string')
    assert select(joints, 'header.stamp.sec') == (0, 'int32')
    with pytest.raises(NoEntryError, match='this message has 2'):
        select(joints, 'name[2]')
    for path in ('name.x', 'header[0]', 'nme', 'name[', ''):
        with pytest.raises(InputError, match=re.escape(f"field '{path}'")):
            select(joints, path)


@pytest.mark.fault('F34')
@pytest.mark.parametrize(
    'text', ['\x1b]0;OWNED\x07\x1b[2J\x1b[31mall good\r fake', 'a\u202eb', '\x9b31m', '\x7f', 'a\nb: c']
)
def test_text_of_a_message_is_printed_on_one_line_without_control_characters(text):
    for shown in (as_text(String(data=text)), as_text(text, 'string'), as_text([text], 'sequence<string>')):
        assert shown.isprintable()
    assert yaml.safe_load(as_text(String(data=text))) == {'data': text}


@pytest.mark.fault('F34')
def test_a_long_text_is_cut_unless_it_is_requested_in_full():
    message = String(data='x' * 1_000_000)
    assert len(as_text(message)) < 11_000 and len(as_text(message, whole=True)) > 1_000_000


@pytest.mark.graph
@pytest.mark.fault('F34')
def test_echo_prints_no_control_characters(graph, view, measured):
    publisher = graph.node.create_publisher(String, 'talk', LATCHED)
    publisher.publish(String(data='\x1b]0;OWNED\x07\x1b[2J'))
    viewer = view('echo', 'talk', '--once', '--field', 'data')
    assert viewer.ended() == 0, viewer.err
    assert viewer.out == '"\\u001b]0;OWNED\\u0007\\u001b[2J"\n---\n'
    measured('aura topics: escape sequences, line ends and direction marks in a message escaped')
