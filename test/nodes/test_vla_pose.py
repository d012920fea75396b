# SPDX-License-Identifier: Apache-2.0
"""A measured pose becomes part of the observation, in the frame of the actions only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from delta_policy import DELTAS
from fakes import JOINTS
from geometry_msgs.msg import PoseStamped

from aura_ros.common.rotations import to_matrix
from aura_ros.common.state_spec import StatePart, StateSpec
from aura_ros.control import JointMap, JointSources
from aura_ros.nodes.vla.inputs import Inputs, Timing, decode
from aura_ros.ros.commands import pose_to_msg
from aura_ros.ros.sensor_messages import image_to_msg, joints_to_msg

NOW_NS = 1_000_000_000_000
PLACE, TURN = np.array([0.4, 0.1, 0.2]), to_matrix('axis_angle', np.array([0.0, 0.3, 0.0]))


@pytest.fixture
def inputs() -> Inputs:
    """Inputs with images and joints of NOW_NS, which only lack the pose."""
    found = Inputs(DELTAS, Timing(0.0, 0.3, 0.1, 1.0), JointSources())
    for camera in DELTAS.cameras:
        found.add_image(camera, image_to_msg(np.full((8, 8, 3), 90, np.uint8), NOW_NS, camera), NOW_NS)
    found.add_joints(joints_to_msg(JOINTS, np.zeros(8), np.zeros(8), NOW_NS), NOW_NS)
    assert found.take(NOW_NS) is None
    return found


def test_the_pose_is_a_part_of_the_state(inputs: Inputs) -> None:
    inputs.add_pose(pose_to_msg(PLACE, TURN, NOW_NS, 'base_link'), NOW_NS, 'pose', 'base_link')
    aligned = inputs.take(NOW_NS)
    assert aligned is not None
    state = decode(aligned, DELTAS, 'go').state
    assert list(state) == ['joints', 'tip', 'turn']
    np.testing.assert_allclose(state['tip'], PLACE, atol=1e-6)
    np.testing.assert_allclose(to_matrix('quaternion_xyzw', state['turn']), TURN, atol=1e-6)


def test_fingers_follow_from_one_joint_and_degrees_from_radians() -> None:
    finger, arm = JOINTS[-1], JOINTS[0]
    spec = replace(
        DELTAS,
        joint_names=(arm, 'left', 'right'),
        state=StateSpec((StatePart('arm', 1, 'joint', unit='deg'), StatePart('fingers', 2, 'gripper'))),
    )
    ends = {'left': (0.0, 0.04), 'right': (0.0, -0.04)}
    maps = {name: JointMap(name, policy, (0.0, 0.04), measured=finger) for name, policy in ends.items()}
    found = Inputs(spec, Timing(0.0, 0.3, 0.1, 1.0), JointSources(maps=maps))
    for camera in spec.cameras:
        found.add_image(camera, image_to_msg(np.full((8, 8, 3), 90, np.uint8), NOW_NS, camera), NOW_NS)
    found.add_joints(joints_to_msg((arm,), np.array([np.pi / 6]), np.zeros(1), NOW_NS), NOW_NS)
    assert found.take(NOW_NS) is None and 'joint_states: left: nothing received' in found.problem()
    found.add_joints(joints_to_msg((finger,), np.array([0.03]), np.zeros(1), NOW_NS), NOW_NS)
    aligned = found.take(NOW_NS)
    assert aligned is not None and not found.problem()
    np.testing.assert_allclose(aligned.joints, [30.0, 0.03, -0.03], atol=1e-5)


def _other_frame() -> PoseStamped:
    return pose_to_msg(PLACE, TURN, NOW_NS, 'tool0')


def _no_direction() -> PoseStamped:
    message = pose_to_msg(PLACE, TURN, NOW_NS, 'base_link')
    message.pose.orientation.x = message.pose.orientation.y = message.pose.orientation.w = 0.0
    return message


def _not_finite() -> PoseStamped:
    return pose_to_msg(np.array([0.0, np.nan, 0.0]), TURN, NOW_NS, 'base_link')


@pytest.mark.parametrize(
    ('message', 'text'),
    [
        (_other_frame, "pose has the frame 'tool0': must be base_frame = 'base_link'"),
        (_no_direction, 'pose has an unusable orientation'),
        (_not_finite, 'pose has an unusable position'),
    ],
)
def test_a_bad_pose_is_counted_and_not_used(inputs: Inputs, message: object, text: str) -> None:
    inputs.add_pose(message(), NOW_NS, 'pose', 'base_link')  # type: ignore[operator]
    assert inputs.take(NOW_NS) is None
    assert inputs.counts['joint_states rejected'] == 1
    assert text in '; '.join(inputs._rejections.values())
