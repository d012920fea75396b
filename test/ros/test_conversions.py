# SPDX-License-Identifier: Apache-2.0
"""Messages carry what was put in, with field checks on, and nothing else gets out of them."""

import zlib
from dataclasses import replace

import aura_ros.msg as messages
import numpy as np
import pytest
from aura_ros.msg import MemoryState, PolicyStatus, WriteEvent
from geometry_msgs.msg import PoseStamped
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message

from aura_ros.common.action_codes import CODES
from aura_ros.common.action_spec import ActionComponent, absolute_joints
from aura_ros.common.errors import InputError
from aura_ros.control import OutputConfig, Policy, PolicySwitch, RobotConfig
from aura_ros.control.outputs import POSE_AXES
from aura_ros.control.poses import nearest_rotation
from aura_ros.memory import Decision, Step, StepRefused
from aura_ros.ros import commands, conversions

STEP = Step(
    episode_id='6f9c0e8e-0000-4000-8000-000000000001',
    seq=7,
    stamp_ns=12_050_000_001,
    features=np.arange(5, dtype=np.float32),
    base_action=np.arange(6, dtype=np.float32).reshape(3, 2),
    seconds_per_action=0.05,
    inference_ms=np.float32(8.5),
    frame_id='base_link',
)
DECISION = Decision(
    action=STEP.base_action + 1,
    gate=np.float32(0.75),
    threshold=np.float64(0.5),
    written=np.bool_(True),
    surprise=np.float32(0.25),
    action_change=np.float32(0.125),
    delta_norm=np.float32(2.0),
)


def wire(message):
    return deserialize_message(serialize_message(message), type(message))


DELTAS = (
    ActionComponent('move', 1, 'base', 'velocity', unit='m/s', range=(-1.0, 1.0)),
    ActionComponent('grip', 1, 'gripper', 'absolute', range=(0.0, 1.0), binary=True, closes='high'),
)


class _Memory:
    fast_weights = np.arange(1024, dtype=np.float32).reshape(32, 32)
    vector = np.ones(32, np.float32)
    row_age = np.arange(32, dtype=np.uint64)
    entries, state_bytes, window = np.int64(3), np.int64(768), 0

    @classmethod
    def export(cls):
        return cls.fast_weights.tobytes() + cls.vector.tobytes()


def test_the_numbers_of_the_components_are_those_of_the_message():
    prefixes = {'kind': 'KIND', 'mode': 'MODE', 'rotation': 'ROTATION', 'frame': 'FRAME', 'closes': 'CLOSES'}
    empty = {'rotation': 'NONE', 'frame': 'NONE', 'closes': 'UNKNOWN'}
    for field, values in CODES.items():
        names = [f'{prefixes[field]}_{(value or empty[field]).upper()}' for value in values]
        assert [getattr(messages.ActionComponent, name) for name in names] == list(range(len(values)))


def test_what_the_actions_mean_survives_the_wire():
    step = replace(STEP, components=DELTAS)
    assert conversions.step_from_msg(wire(conversions.step_to_msg(step))).components == DELTAS
    chunk = wire(conversions.chunk_to_msg(step, 1, step.base_action))
    assert conversions.chunk_from_msg(chunk).components == DELTAS
    assert conversions.base_chunk_from_msg(wire(conversions.step_to_msg(step))).components == DELTAS
    # Absolute joint targets are left out, as in messages of version 0.1.0.
    plain = replace(STEP, components=(absolute_joints(2),))
    assert not conversions.step_to_msg(plain).components
    assert conversions.step_from_msg(wire(conversions.step_to_msg(plain))).components == ()


def test_unusable_components_are_refused_by_name():
    message = conversions.step_to_msg(replace(STEP, components=DELTAS))
    message.components[0].mode = 7
    with pytest.raises(StepRefused, match=r'mode = 7: must be 0\.\.3'):
        conversions.step_from_msg(wire(message))
    with pytest.raises(InputError, match=r'mode = 7: must be 0\.\.3'):
        conversions.base_chunk_from_msg(wire(message))


def test_a_step_survives_the_wire():
    found = conversions.step_from_msg(wire(conversions.step_to_msg(STEP)))
    assert (found.episode_id, found.seq, found.stamp_ns) == (STEP.episode_id, 7, 12_050_000_001)
    np.testing.assert_array_equal(found.features, STEP.features)
    np.testing.assert_array_equal(found.base_action, STEP.base_action)
    assert (found.inference_ms, found.frame_id) == (8.5, 'base_link')


@pytest.mark.parametrize('change', [{'chunk_size': 4}, {'action_dim': 0}])
def test_a_step_whose_sizes_do_not_agree_is_refused(change):
    message = conversions.step_to_msg(STEP)
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(StepRefused, match=r'step 7.*chunk_size x action_dim'):
        conversions.step_from_msg(message)


def test_a_chunk_keeps_its_policy_and_actions():
    message = wire(conversions.chunk_to_msg(STEP, Policy.AURA, DECISION.action))
    chunk = conversions.chunk_from_msg(message)
    assert (chunk.policy, chunk.seq, chunk.stamp_ns) == (Policy.AURA, 7, STEP.stamp_ns)
    np.testing.assert_array_equal(chunk.actions, DECISION.action.ravel())
    assert chunk.problem() is None


def test_numpy_scalars_do_not_become_zero():
    gate = wire(conversions.gate_to_msg(STEP, Policy.AURA, DECISION, np.float64(9.5), 4224))
    assert (gate.gate, gate.threshold, gate.surprise, gate.step_us) == (0.75, 0.5, 0.25, 9.5)
    assert gate.written is True and gate.state_bytes == 4224
    event = wire(conversions.write_to_msg(STEP, Policy.AURA, DECISION, 3, 4224, 2**32 - 1))
    assert (event.action_change, event.delta_norm) == (0.125, 2.0)
    assert (event.writes, event.bytes_written, event.state_crc32) == (3, 12672, 2**32 - 1)
    assert event.durability == WriteEvent.DURABILITY_RAM
    cache = wire(conversions.cache_to_msg(STEP, _Memory))
    assert (cache.entries, cache.bytes, cache.window) == (3, 768, 0)


def test_the_whole_state_is_published():
    state: MemoryState = wire(conversions.state_to_msg(STEP, _Memory))
    np.testing.assert_array_equal(state.fast_weights, np.arange(1024, dtype=np.float32))
    np.testing.assert_array_equal(state.row_age, np.arange(32))
    assert state.state_crc32 == zlib.crc32(np.append(np.arange(1024), np.ones(32)).astype('<f4').tobytes())


def test_stamps_keep_their_nanoseconds_and_never_go_below_zero():
    for ns in (0, 1, 999_999_999, 1_700_000_000_123_456_789):
        assert conversions.to_ns(conversions.to_stamp(np.int64(ns))) == ns
    assert conversions.to_ns(conversions.to_stamp(-5)) == 0


def _robot(**changes):
    values = {
        'joint_names': ('a', 'b'),
        'position_lower': (-1.0, -1.0),
        'position_upper': (1.0, 1.0),
        'velocity_max': (1.0, 1.0),
        'step_max': (0.1, 0.1),
    }
    return RobotConfig(**(values | changes))


def test_the_switch_status_fits_its_message():
    status: PolicyStatus = wire(conversions.status_to_msg(PolicySwitch(_robot()).status, 5, False))
    assert status.holding and not status.control_enabled and list(status.newest_seq) == [0, 0, 0]


def _maker(robot, stamp):
    return commands.maker(robot, robot.outputs[0], stamp)


def test_a_trajectory_is_one_point_for_one_period():
    robot = _robot()
    kind, make = _maker(robot, 'now')
    message = wire(make(np.array([0.5, -0.5]), 3_000_000_007))
    assert isinstance(message, kind) and message.header.frame_id == 'base_link'
    assert conversions.to_ns(message.header.stamp) == 3_000_000_007
    assert message.points[0].time_from_start.nanosec == 50_000_000
    np.testing.assert_array_equal(commands.target_from_trajectory(message, ('b', 'a')), [-0.5, 0.5])


def test_forward_controllers_get_an_array():
    _, make = _maker(_robot(command_type='float64_multi_array'), 'now')
    assert list(wire(make(np.array([0.5, -0.5]), 1)).data) == [0.5, -0.5]


def test_a_driver_of_joint_states_gets_names_and_positions():
    kind, make = _maker(_robot(command_type='joint_state'), 'zero')
    message = wire(make(np.array([0.5, -0.5]), 3_000_000_007))
    assert isinstance(message, kind) and conversions.to_ns(message.header.stamp) == 3_000_000_007
    assert (list(message.name), list(message.position)) == (['a', 'b'], [0.5, -0.5])
    assert not message.velocity and not message.effort


POSE = OutputConfig('arm', POSE_AXES, 'pose_stamped', 'target', state_topic='pose')
vectors = st.lists(st.floats(-1.8, 1.8), min_size=3, max_size=3).map(np.array)


@given(st.lists(st.floats(-2.0, 2.0), min_size=3, max_size=3), vectors)
def test_a_pose_has_the_rotation_vector_as_a_quaternion(position, rotation):
    six = (1.0,) * 6
    robot = RobotConfig(POSE_AXES, (-1.6,) * 6, (1.6,) * 6, six, six, outputs=(POSE,))
    kind, make = commands.maker(robot, POSE, 'zero')
    message = wire(make(np.array([*position, *rotation]), 3_000_000_007))
    assert isinstance(message, kind) and message.header.frame_id == 'base_link'
    assert conversions.to_ns(message.header.stamp) == 3_000_000_007
    turn = message.pose.orientation
    assert np.hypot.reduce([turn.x, turn.y, turn.z, turn.w]) == pytest.approx(1.0)
    found = commands.pose_from_msg(message)
    np.testing.assert_allclose(found[:3], position)
    np.testing.assert_allclose(nearest_rotation(found[3:], rotation), rotation, atol=1e-7)
    turn.x, turn.y, turn.z, turn.w = -turn.x, -turn.y, -turn.z, -turn.w  # the same rotation
    np.testing.assert_allclose(commands.pose_from_msg(message), found, atol=1e-7)


def test_half_a_turn_is_known():
    message = PoseStamped()
    message.pose.orientation.x, message.pose.orientation.w = 1.0, 0.0
    np.testing.assert_allclose(commands.pose_from_msg(message), [0, 0, 0, np.pi, 0, 0])
    down = commands.pose_from_msg(message)[3:]
    np.testing.assert_allclose(nearest_rotation(-down, np.array([3.0, 0.0, 0.0])), down)


@pytest.mark.parametrize('changes', [{'w': 0.0}, {'w': np.nan}, {'x': np.inf}])
def test_what_is_no_pose_is_refused(changes):
    message = PoseStamped()
    for name, value in changes.items():
        setattr(message.pose.orientation, name, value)
    with pytest.raises(InputError, match='unusable orientation'):
        commands.pose_from_msg(message)


def test_servo_gets_a_twist():
    axes = ('linear_x', 'linear_y', 'linear_z', 'angular_x', 'angular_y', 'angular_z')
    six = (1.0,) * 6
    robot = _robot(
        joint_names=axes,
        position_lower=(-1.0,) * 6,
        position_upper=six,
        velocity_max=six,
        step_max=six,
        command_type='twist_stamped',
        base_frame='tool0',
    )
    _, make = _maker(robot, 'zero')
    message = wire(make(np.arange(6) / 10, 1))
    assert conversions.to_ns(message.header.stamp) == 1
    assert (message.header.frame_id, message.twist.linear.y, message.twist.angular.z) == ('tool0', 0.1, 0.5)


@pytest.mark.parametrize(
    ('names', 'positions', 'text'),
    [
        (['a'], [0.0], 'exactly a, b'),
        (['a', 'b', 'b'], [0.0] * 3, 'exactly'),
        ([], [], '(none)'),
        (['a', 'b'], [0.0], '1 positions'),
        (['a', 'b'], [0.0, float('inf')], 'not finite'),
    ],
)
def test_the_simulation_refuses_other_commands(names, positions, text):
    _, make = _maker(_robot(), 'now')
    message = make(np.zeros(2), 1)
    message.joint_names = names
    message.points[0].positions = positions
    with pytest.raises(InputError, match=text):
        commands.target_from_trajectory(message, ('a', 'b'))


def _controller_accepts(command, now_ns):
    """Apply the rule of the JointTrajectoryController: stamp zero starts now, else the end must not be past."""
    stamp_ns = conversions.to_ns(command.header.stamp)
    end_ns = stamp_ns + conversions.to_ns(command.points[-1].time_from_start)
    return stamp_ns == 0 or end_ns > now_ns


@pytest.mark.fault('F27')
def test_no_delay_makes_a_controller_refuse_a_command(measured):
    robot, sent_ns = _robot(), 10**18
    _, make_zero = _maker(robot, 'zero')
    _, make_now = _maker(robot, 'now')
    target = np.zeros(robot.size)
    delays_ns = [delay * robot.period_ns // 4 for delay in range(9)]
    accepted = [_controller_accepts(make_zero(target, sent_ns), sent_ns + delay) for delay in delays_ns]
    stamped = [_controller_accepts(make_now(target, sent_ns), sent_ns + delay) for delay in delays_ns]
    assert all(accepted)
    assert stamped == [delay < robot.period_ns for delay in delays_ns]
    measured(
        f'delays of 0 to 2 periods: {sum(accepted)} of {len(accepted)} commands accepted, {sum(stamped)} with a stamp'
    )
