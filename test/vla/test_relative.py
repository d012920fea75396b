# SPDX-License-Identifier: Apache-2.0
"""Actions relative to the observed state become absolute before anything else sees them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import SPEC

from aura_ros.common.action_spec import ActionComponent
from aura_ros.common.errors import ConfigError
from aura_ros.common.rotations import to_matrix
from aura_ros.common.state_spec import StatePart, StateSpec
from aura_ros.vla import VlaOutput, load_backbone
from aura_ros.vla.relative import AbsoluteBackbone, absolute

JOINTS = StateSpec((StatePart('arm', 7, 'joint'), StatePart('hand', 1, 'gripper')))
RELATIVE = (
    ActionComponent('arm', 7, 'joint', 'state_relative', range=(-0.5, 0.5)),
    ActionComponent('hand', 1, 'gripper', 'absolute'),
)
POSE = StateSpec(
    (
        StatePart('place', 3, 'ee_position', unit='m'),
        StatePart('turn', 4, 'ee_rotation', rotation='quaternion_xyzw'),
        StatePart('rest', 2, 'joint'),
    )
)
MEASURED = np.array([0.1, 0.2, 0.3, 0.0, 0.0, np.pi / 2, 0.5, 0.6], np.float32)


class Constant:
    """A backbone whose actions are all 0.1."""

    spec = replace(SPEC, components=RELATIVE, state=JOINTS)

    def __init__(self, path: str | None = None) -> None:
        pass

    def infer(self, observation: object) -> VlaOutput:
        shape = self.spec.chunk_size, self.spec.action_dim
        return VlaOutput(np.zeros(self.spec.feature_dim, np.float32), np.full(shape, 0.1, np.float32))


def test_relative_joints_are_added_to_the_observed_ones() -> None:
    backbone = load_backbone(f'{__name__}:Constant')
    assert [component.mode for component in backbone.spec.components] == ['absolute', 'absolute']
    assert backbone.spec.components[0].range is None, 'the range was that of the difference'
    output = backbone.infer(backbone.spec.observation({}, MEASURED, 'go'))
    np.testing.assert_allclose(output.actions, np.tile([*(MEASURED[:7] + 0.1), 0.1], (8, 1)), rtol=1e-6)


@pytest.mark.parametrize('frame', ['base', 'end_effector'])
def test_a_relative_pose_turns_and_moves_in_its_frame(frame: str) -> None:
    spec = replace(
        Constant.spec,
        action_dim=6,
        state=POSE,
        components=(
            ActionComponent('place', 3, 'ee_position', 'state_relative', unit='m', frame=frame),
            ActionComponent('turn', 3, 'ee_rotation', 'state_relative', rotation='axis_angle', frame=frame),
        ),
    )
    constant = Constant()
    constant.spec = spec  # type: ignore[misc]
    backbone = AbsoluteBackbone(constant)
    action = backbone.infer(backbone.spec.observation({}, MEASURED, 'go')).actions[0]
    step = np.full(3, 0.1)
    quarter, turn = to_matrix('axis_angle', MEASURED[3:6]), to_matrix('axis_angle', step)
    tool = frame == 'end_effector'
    np.testing.assert_allclose(action[:3], MEASURED[:3] + (quarter @ step if tool else step), atol=1e-6)
    np.testing.assert_allclose(
        to_matrix('axis_angle', action[3:]), quarter @ turn if tool else turn @ quarter, atol=1e-6
    )
    assert {component.frame for component in backbone.spec.components} == {'base'}


def test_the_state_must_have_the_part() -> None:
    constant = Constant()
    constant.spec = replace(Constant.spec, state=StateSpec((StatePart('arm', 8, 'joint'),)))  # type: ignore[misc]
    with pytest.raises(ConfigError, match="component 'arm' is relative to the state, and the state"):
        absolute(constant)


def test_other_backbones_stay_as_they_are() -> None:
    constant = Constant()
    constant.spec = SPEC  # type: ignore[misc]
    assert absolute(constant) is constant
