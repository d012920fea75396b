# SPDX-License-Identifier: Apache-2.0
"""A robot of two parts: joint states in separate messages, and commands on an output for each part."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from aura_ros.action import RunEpisode
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.action import ActionServer, GoalResponse
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from switch_rig import AURA, SwitchRig
from trajectory_msgs.msg import JointTrajectory

from aura_ros.common.action_spec import ActionComponent
from aura_ros.common.errors import ConfigError
from aura_ros.nodes.policy_switch import gripper
from aura_ros.nodes.policy_switch.node import PolicySwitchNode
from aura_ros.ros import qos
from aura_ros.ros.conversions import to_ns, to_stamp

SPLIT = {
    'robot__joint_state_topics': ['joint_states', 'hand/joint_states'],
    'robot__outputs': ['arm', 'hand'],
    'robot__arm__joint_names': ['a'],
    'robot__arm__command_topic': 'arm/command',
    'robot__hand__joint_names': ['b'],
    'robot__hand__command_topic': 'hand/command',
}
ARRAY = {'robot__hand__command_type': 'float64_multi_array'}
INVERTED = {'robot__mapped_joints': ['b'], 'robot__map_b__policy': [0.0, 1.0], 'robot__map_b__robot': [0.8, 0.0]}


class SplitRig(SwitchRig):
    """A switch with joint `a` on an arm and joint `b` on a hand with topics of its own."""

    def __init__(self, graph, hand=Float64MultiArray, **parameters):
        self.arm = graph.listen(JointTrajectory, 'arm/command', qos.COMMAND)
        self.hand = graph.listen(hand, 'hand/command', qos.COMMAND)
        self.hand_joints = graph.node.create_publisher(JointState, 'hand/joint_states', qos.JOINT_STATES_OUT)
        super().__init__(graph, **(SPLIT | ARRAY | parameters))
        graph.matched(self.hand_joints)

    def send(self, publisher, name, position, stamp_ns=None):
        message = JointState(name=[name], position=[float(position)])
        message.header.stamp = to_stamp(self.now() if stamp_ns is None else stamp_ns)
        publisher.publish(message)

    def measure(self, a, b, stamp_ns=None):
        """Publish each joint in a message of its own; the joints of others and an empty message are ignored."""
        self.joints.publish(JointState())
        self.send(self.joints, 'a', a, stamp_ns)
        self.send(self.joints, 'wheel', 9.0, stamp_ns)
        self.send(self.hand_joints, 'b', b, stamp_ns)

    def until_held(self, text):
        def again():
            self.chunk(AURA, 0.2)
            self.graph.spin(0.05)
            return self.status.holding and text in self.status.reason

        self.graph.until(again, f'held: {text}')


def positions(message):
    return list(message.data) if isinstance(message, Float64MultiArray) else list(message.points[0].positions)


def test_each_output_gets_its_joints_in_every_control_period(graph):
    rig = SplitRig(graph, JointTrajectory, robot__hand__command_type='joint_trajectory', command_stamp='now')
    sent = [graph.sent(rig.node, topic) for topic in ('arm/command', 'hand/command')]
    graph.until(lambda: rig.drive(value=0.2) or len(sent[1]) > 5, 'several commands')
    graph.until(lambda: positions(rig.arm[-1]) == positions(rig.hand[-1]) == [pytest.approx(0.2)], 'both targets')
    rig.node.trigger_deactivate()
    assert {tuple(message.joint_names) for message in sent[0]} == {('a',)}
    assert {tuple(message.joint_names) for message in sent[1]} == {('b',)}
    # The stamps are those of the control periods: both outputs have all of them, the last hold included.
    arm, hand = ([to_ns(message.header.stamp) for message in messages] for messages in sent)
    assert arm == hand
    assert not rig.commands


def test_a_mapped_joint_is_commanded_in_the_unit_of_its_driver_and_limited_there(graph):
    limits = {'robot__position_lower': [-1.0, 0.1], 'robot__position_upper': [1.0, 0.7]}
    rig = SplitRig(graph, **INVERTED, **limits)

    def commanded(value, target):
        def again():
            rig.measure(0.0, 0.4)
            rig.chunk(AURA, value)
            graph.spin(0.05)
            return rig.hand and positions(rig.hand[-1]) == [pytest.approx(target)]

        return again

    graph.until(commanded(0.25, 0.6), 'a quarter closed')
    graph.until(commanded(1.0, 0.1), 'closed as far as the limit allows')
    graph.until(commanded(0.0, 0.7), 'open as far as the limit allows')
    assert all(0.1 - 1e-9 <= positions(message)[0] <= 0.7 + 1e-9 for message in rig.hand)


def test_a_threshold_makes_open_or_closed(graph):
    # At this speed a hold of the watchdog between two periods cannot split the motion.
    limits = {'robot__step_max': [0.5, 1.0], 'robot__velocity_max': [10.0, 1e6]}
    rig = SplitRig(graph, **INVERTED, **limits, robot__map_b__threshold=0.5)
    for value, target in ((0.3, 0.8), (0.7, 0.0)):
        rig.drive(value=value)
        graph.until(lambda target=target: positions(rig.hand[-1]) == [target], f'{value} is {target}')
    assert {positions(message)[0] for message in rig.hand[1:]} <= {0.0, 0.8}


def test_a_joint_that_is_stale_holds_all_outputs_and_is_named(graph, measured):
    rig = SplitRig(graph, joint_max_age_s=0.3)
    rig.drive()
    held_since = len(rig.hand)

    def again():
        rig.send(rig.joints, 'a', 0.0)
        rig.chunk(AURA, 0.2)
        graph.spin(0.05)
        return rig.status.holding and rig.status.reason.endswith('not finite: b')

    def diagnosed():
        rig.drive()  # on a busy machine a may be stale first: then again
        graph.until(again, 'the name of the joint')
        graph.spin(0.2)
        found = (status for each in rig.diagnostics for status in each.status if status.name.endswith('inputs'))
        return any('joint_states stale: b: newest is ' in status.message for status in found)

    graph.until(diagnosed, 'diagnosed')
    assert len(rig.hand) > held_since and positions(rig.arm[-1]) == positions(rig.arm[-2])
    rig.drive()
    measured('a stale gripper: arm and gripper held within 0.3 s, joint named')


def test_a_slow_joint_may_have_an_age_of_its_own(graph):
    rig = SplitRig(graph, joint_max_age_s=0.2, robot__joint_max_age_s=[0.2, 60.0])
    rig.drive()
    begin = rig.now()

    def drives_on():
        rig.send(rig.joints, 'a', 0.0)
        rig.chunk(AURA, 0.2)
        graph.spin(0.02)
        return rig.now() - begin > 1e9 and not rig.status.holding

    graph.until(drives_on, 'drives with a position of b that is a second old')
    rig.until_held('not finite: a')


def test_a_late_message_of_one_joint_is_in_order_for_that_joint(graph):
    rig = SplitRig(graph)
    rig.drive()
    now_ns = rig.now() + 10_000_000
    rig.send(rig.joints, 'a', 0.0, now_ns)
    rig.send(rig.hand_joints, 'b', 0.0, now_ns - 5_000_000)
    graph.spin(0.3)
    assert 'joint_states out_of_order' not in rig.values('inputs')
    rig.send(rig.hand_joints, 'b', 0.0, now_ns - 8_000_000)
    graph.until(lambda: rig.values('inputs').get('joint_states out_of_order') == '1', 'one out of order')


def test_a_joint_that_no_message_names_is_reported(graph):
    rig = SplitRig(graph)

    def send():
        rig.send(rig.joints, 'a', 0.0)
        graph.spin(0.02)

    begin = rig.now()
    graph.until(lambda: send() or rig.now() - begin > 1.2e9, 'more than a second')
    # The diagnostic shows the newest fault, and a busy machine can add another.
    graph.until(lambda: int(rig.values('inputs').get('joint_states missing', 0)) > 0, 'the missing joint')
    assert not rig.arm and not rig.hand


def test_a_second_publisher_on_any_output_holds_the_robot(graph):
    rig = SplitRig(graph)
    rig.drive()
    other = graph.node.create_publisher(Float64MultiArray, 'hand/command', qos.COMMAND)
    graph.until(lambda: rig.status.holding and '/hand/command has another publisher' in rig.status.reason, 'held')
    graph.node.destroy_publisher(other)
    rig.drive()


def test_a_twist_and_a_gripper_are_held_together(graph):
    axes = ['linear_x', 'linear_y', 'linear_z', 'angular_x', 'angular_y', 'angular_z']
    seven = {'robot__position_lower': [-1.0] * 7, 'robot__position_upper': [1.0] * 7}
    seven |= {'robot__velocity_max': [10.0] * 7, 'robot__step_max': [0.5] * 7}
    twists = graph.listen(TwistStamped, 'arm/twist', qos.COMMAND)
    rig = SplitRig(
        graph,
        robot__joint_names=[*axes, 'b'],
        robot__arm__joint_names=axes,
        robot__arm__command_type='twist_stamped',
        robot__arm__command_topic='arm/twist',
        **seven,
    )

    def driven():
        rig.measure(0.0, 0.1)
        rig.chunk(AURA, 0.2, joints=7)
        graph.spin(0.05)
        return twists and twists[-1].twist.linear.x == pytest.approx(0.2, abs=1e-6)

    graph.until(driven, 'drives')
    graph.until(lambda: rig.status.holding and twists[-1].twist.linear.x == 0.0, 'stopped without chunks')
    graph.until(lambda: positions(rig.hand[-1]) == [pytest.approx(0.1)], 'the gripper stays where it is')


def test_a_mobile_base_gets_twists_and_stops_with_the_arm(graph):
    """Any joint state shows that the robot is there; the velocities of a base are not measured."""
    components = (
        ActionComponent('arm', 1, 'joint', 'absolute', unit='rad'),
        ActionComponent('drive', 2, 'base', 'velocity'),
        ActionComponent('hand', 1, 'gripper', 'absolute'),
    )
    limits = {'robot__position_lower': [-1.0] * 4, 'robot__position_upper': [1.0] * 4}
    limits |= {'robot__velocity_max': [10.0] * 4, 'robot__step_max': [0.5] * 4}
    twists = graph.listen(TwistStamped, 'cmd_vel', qos.COMMAND)
    rig = SplitRig(
        graph,
        robot__joint_names=['a', 'base_linear_x', 'base_angular_z', 'b'],
        robot__outputs=['arm', 'hand', 'base'],
        robot__base__joint_names=['base_linear_x', 'base_angular_z'],
        robot__base__command_type='base_twist',
        robot__base__command_topic='cmd_vel',
        robot__base__frame_id='base_footprint',
        **limits,
    )

    def driven():
        rig.measure(0.0, 0.1)
        rig.chunk(AURA, 0.2, joints=4, components=components)
        graph.spin(0.05)
        seen = twists and twists[-1].twist.linear.x == pytest.approx(0.2, abs=1e-6)
        return seen and rig.arm and positions(rig.arm[-1]) == [pytest.approx(0.2)]

    graph.until(driven, 'drives')
    assert twists[-1].twist.angular.z == pytest.approx(0.2, abs=1e-6) and twists[-1].twist.linear.y == 0.0
    assert twists[-1].header.frame_id == 'base_footprint' and to_ns(twists[-1].header.stamp) > 0
    graph.until(lambda: rig.status.holding and twists[-1].twist.linear.x == 0.0, 'stopped without chunks')
    assert twists[-1].twist.angular.z == 0.0


def test_a_pose_is_commanded_from_the_measured_one(graph):
    axes = ['position_x', 'position_y', 'position_z', 'rotation_x', 'rotation_y', 'rotation_z']
    six = {'robot__position_lower': [-1.0] * 6, 'robot__position_upper': [1.0] * 6}
    six |= {'robot__velocity_max': [1.0] * 6, 'robot__step_max': [0.5] * 6}
    targets = graph.listen(PoseStamped, 'arm/target', qos.COMMAND)
    pose = graph.node.create_publisher(PoseStamped, 'arm/pose', qos.JOINT_STATES_OUT)
    rig = SwitchRig(
        graph,
        robot__joint_names=axes,
        robot__outputs=['arm'],
        robot__arm__joint_names=axes,
        robot__arm__command_type='pose_stamped',
        robot__arm__command_topic='arm/target',
        robot__arm__state_topic='arm/pose',
        **six,
    )
    graph.matched(pose)

    def driven(frame='base_link'):
        message = PoseStamped()
        message.header.stamp = to_stamp(rig.now())
        message.header.frame_id = frame
        message.pose.position.x, message.pose.orientation.x = 0.4, 0.2
        message.pose.orientation.w = np.sqrt(1.0 - 0.2**2)
        pose.publish(message)
        rig.chunk(AURA, 0.5, joints=6)
        graph.spin(0.05)
        return targets and targets[-1].pose.position.x == pytest.approx(0.5)

    graph.until(driven, 'the target')
    # The first command starts at the measured pose: at most 0.05 m in one period.
    assert targets[0].pose.position.x == pytest.approx(0.45)
    assert all(message.header.frame_id == 'base_link' for message in targets)
    graph.until(lambda: driven('tool0') is not None and rig.status.holding, 'held with a pose in another frame')
    text = "joint_states: arm/pose has the frame 'tool0': must be robot.base_frame = 'base_link'"
    rig.wait_for_diagnostic('inputs', text, DiagnosticStatus.WARN)


# A gripper with an action. --------------------------------------------------------------------------------------------
GRIP = {'robot__hand__command_type': 'gripper_command', 'robot__hand__max_effort': 40.0}


class Gripper:
    """An action server in the place of a gripper driver. Its goals are texts, because control_msgs may be missing."""

    def __init__(self, graph):
        self.goals, self.handles, self.accepts = [], [], True
        self._server = ActionServer(
            graph.node,
            RunEpisode,
            'hand/command',
            lambda _: RunEpisode.Result(),
            goal_callback=self._on_goal,
            handle_accepted_callback=self.handles.append,
        )

    def _on_goal(self, goal):
        self.goals.append(tuple(map(float, goal.instruction.split())))
        return GoalResponse.ACCEPT if self.accepts else GoalResponse.REJECT


@pytest.fixture
def text_goals(monkeypatch):
    monkeypatch.setattr(gripper, 'gripper_command', lambda: RunEpisode)
    monkeypatch.setattr(
        gripper, 'make_goal', lambda _, position, effort: RunEpisode.Goal(instruction=f'{position} {effort}')
    )


def test_a_gripper_gets_a_goal_only_when_its_target_changes(monkeypatch, text_goals, graph, measured):
    monkeypatch.setattr(gripper, '_TIMEOUT_S', 30.0)  # a busy test machine must not look like a lost response
    driver = Gripper(graph)
    rig = SplitRig(graph, robot__step_max=[0.5, 1.0], robot__velocity_max=[10.0, 100.0], **GRIP)
    graph.until(lambda: rig.node._outputs._grippers[0][1]._ready, 'the server')
    sent = graph.sent(rig.node, 'arm/command')
    rig.drive(value=0.3)
    graph.until(lambda: driver.goals and driver.goals[-1] == (pytest.approx(0.3), 40.0), 'a goal')
    graph.until(lambda: rig.drive(value=0.3) or len(sent) > 20, 'many commands')
    graph.until(lambda: rig.drive(value=0.6) or driver.goals[-1][0] == pytest.approx(0.6), 'the next goal')
    # A hundredth of the range is 0.02.
    graph.until(lambda: rig.drive(value=0.615) or positions(rig.arm[-1]) == [pytest.approx(0.615)], 'a small change')
    graph.until(lambda: rig.drive(value=0.999) or driver.goals[-1][0] == pytest.approx(0.999, abs=0.02), 'almost open')
    graph.until(lambda: rig.drive(value=1.0) or driver.goals[-1][0] == 1.0, 'a limit is always sent')
    # The measured position is 0, and a hold does not loosen the grip.
    graph.until(lambda: rig.status.holding and positions(rig.arm[-1]) == [0.0], 'the hold')
    assert driver.goals[-1][0] == 1.0
    goals = [position for position, _ in driver.goals]
    assert all(abs(goal - following) > 0.02 or following == 1.0 for goal, following in pairwise(goals))
    assert not any(0.6 < goal <= 0.62 for goal in goals if goal != pytest.approx(0.6))
    assert len(driver.goals) < len(sent)
    measured(f'gripper: {len(driver.goals)} goals during {len(sent)} commands of the arm')


def test_the_targets_of_a_gripper_are_published_for_a_recorder(monkeypatch, text_goals, graph):
    monkeypatch.setattr(gripper, '_TIMEOUT_S', 30.0)
    driver = Gripper(graph)
    rig = SplitRig(graph, robot__step_max=[0.5, 1.0], robot__velocity_max=[10.0, 100.0], **GRIP)
    commanded = graph.listen(JointState, 'hand/command/commanded', qos.COMMAND)
    graph.until(lambda: rig.drive(value=0.3) or driver.goals, 'a goal')
    graph.until(lambda: rig.drive(value=0.3) or (commanded and commanded[-1].position[0] == pytest.approx(0.3)), 'it')
    assert list(commanded[-1].name) == ['b'] and to_ns(commanded[-1].header.stamp) > 0


def test_without_an_action_server_the_arm_goes_on_and_the_fault_is_diagnosed(text_goals, graph):
    rig = SplitRig(graph, **GRIP)
    rig.drive(value=0.3)
    rig.wait_for_diagnostic('inputs', 'hand missing: hand/command has no action server', DiagnosticStatus.WARN)
    graph.until(lambda: positions(rig.arm[-1]) == [pytest.approx(0.3)], 'the arm')
    driver = Gripper(graph)

    def sent():
        rig.drive(value=0.3)
        return driver.goals

    graph.until(sent, 'the target, when the server is there')
    assert driver.goals[0][0] == pytest.approx(0.3)


def test_a_refused_goal_is_diagnosed_and_sent_again(text_goals, graph):
    driver = Gripper(graph)
    driver.accepts = False
    rig = SplitRig(graph, **GRIP)
    graph.until(lambda: rig.drive(value=0.3) or len(driver.goals) > 1, 'sent again')
    rig.wait_for_diagnostic('inputs', 'hand refused: hand/command refuses a goal', DiagnosticStatus.WARN)


@pytest.mark.parametrize('end', ['aborted', 'cancelled'])
def test_a_goal_that_the_server_ends_is_diagnosed_and_sent_again(text_goals, graph, end):
    driver = Gripper(graph)
    rig = SplitRig(graph, robot__step_max=[0.5, 1.0], robot__velocity_max=[10.0, 100.0], **GRIP)
    graph.until(lambda: rig.drive(value=0.3) or driver.handles, 'a goal')
    count = len(driver.goals)
    goal = driver.handles[-1]
    if end == 'aborted':
        # A goal whose execution sets no state is aborted.
        goal.execute()
    else:
        # The request of another client of the action.
        goal._update_state(_rclpy.GoalEvent.CANCEL_GOAL)
        goal.canceled()
    graph.until(lambda: rig.drive(value=0.3) or len(driver.goals) > count, 'sent again')
    assert driver.goals[-1] == driver.goals[count - 1]
    rig.wait_for_diagnostic('inputs', f'hand aborted: hand/command has {end} a goal', DiagnosticStatus.WARN)


def test_a_goal_without_response_is_diagnosed_and_does_not_delay_the_arm(text_goals, graph):
    driver = Gripper(graph)
    rig = SplitRig(graph, **GRIP)
    client = rig.node._outputs._grippers[0][1]
    graph.until(lambda: client._ready, 'the server')
    client._client.call_async = lambda _: Future()  # the response is lost
    rig.drive(value=0.3)
    rig.wait_for_diagnostic('inputs', 'hand silent: hand/command does not respond', DiagnosticStatus.WARN)
    del client._client.call_async
    graph.until(lambda: rig.drive(value=0.3) or driver.goals, 'sent again')


def test_the_action_of_control_msgs(graph):
    action = pytest.importorskip('control_msgs.action').GripperCommand
    goals = []

    def on_goal(goal):
        goals.append((goal.command.position, goal.command.max_effort))
        return GoalResponse.ACCEPT

    ActionServer(
        graph.node,
        action,
        'hand/command',
        lambda _: action.Result(),
        goal_callback=on_goal,
        handle_accepted_callback=lambda _: None,
    )
    rig = SplitRig(graph, **GRIP)
    graph.until(lambda: rig.drive(value=0.3) or (goals and goals[-1] == (pytest.approx(0.3), 40.0)), 'the goal')


def test_control_msgs_is_named_where_it_is_missing(graph, monkeypatch):
    monkeypatch.setitem(sys.modules, 'control_msgs.action', None)
    node = graph.inside(
        PolicySwitchNode,
        **(SPLIT | GRIP),
        robot__joint_names=['a', 'b'],
        robot__position_lower=[-1.0, -1.0],
        robot__position_upper=[1.0, 1.0],
        robot__velocity_max=[1.0, 1.0],
        robot__step_max=[1.0, 1.0],
    )
    with pytest.raises(ConfigError, match='needs the ROS package control_msgs'):
        node.configure()


def test_lockstep_needs_one_trajectory(graph):
    node = graph.inside(
        PolicySwitchNode,
        **(SPLIT | ARRAY),
        tick_source='joint_states',
        robot__joint_names=['a', 'b'],
        robot__position_lower=[-1.0, -1.0],
        robot__position_upper=[1.0, 1.0],
        robot__velocity_max=[1.0, 1.0],
        robot__step_max=[1.0, 1.0],
    )
    with pytest.raises(ConfigError, match='must be one joint_trajectory'):
        node.configure()
