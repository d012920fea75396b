# SPDX-License-Identifier: Apache-2.0
"""Names in the parameters of the policy switch: topics, remaps, and parameters that no list of the robot file names."""

from functools import partial

import pytest
from switch_rig import ROBOT

from aura_ros.common.errors import ConfigError
from aura_ros.nodes.policy_switch.node import PolicySwitchNode

OUTPUT = {'robot__outputs': ['arm'], 'robot__arm__joint_names': ['a', 'b'], 'robot__arm__command_topic': 'arm/command'}
MAP = {'robot__map_b__policy': [0.0, 1.0], 'robot__map_b__robot': [0.0, 0.04]}


def remapped(remap):
    return partial(PolicySwitchNode, cli_args=['--ros-args', '-r', remap])


@pytest.mark.parametrize(
    ('parameters', 'expected'),
    [
        (MAP, "'robot.map_b.policy' is unknown: add 'b' to robot.mapped_joints"),
        (
            MAP | {'robot__mapped_joints': ['b'], 'robot__map_b__treshold': 0.5},
            "'robot.map_b.treshold' is unknown: correct its name",
        ),
        (
            {key: OUTPUT[key] for key in OUTPUT if key != 'robot__outputs'},
            "'robot.arm.command_topic' is unknown: add 'arm' to robot.outputs",
        ),
        ({'robot__velocity_maximum': [1.0, 1.0]}, "'robot.velocity_maximum' is unknown: correct its name"),
        ({'command_topic': 'arm controller/x'}, "parameter 'command_topic': 'arm controller/x' is not a topic"),
        (OUTPUT | {'robot__arm__command_topic': 'arm//x'}, "'robot.arm.command_topic': 'arm//x' is not a topic"),
        ({'robot__joint_state_topics': ['{arm}/joints']}, "'{arm}/joints' is not a topic: .*unknown substitution"),
    ],
)
def test_a_name_that_has_no_effect_or_no_topic_is_refused(graph, parameters, expected):
    node = graph.inside(PolicySwitchNode, **(ROBOT | parameters))
    with pytest.raises(ConfigError, match=expected):
        node.configure()


@pytest.mark.parametrize(
    ('remap', 'parameters', 'expected'),
    [
        ('joint_command:=real', OUTPUT, 'joint_command is remapped to /real, but the robot file names .*: arm/command'),
        ('joint_states:=real', {'robot__joint_state_topics': ['arm/joints']}, 'joint_states is remapped to /real'),
    ],
)
def test_a_remap_without_effect_is_refused(graph, remap, parameters, expected):
    node = graph.inside(remapped(remap), **(ROBOT | parameters))
    with pytest.raises(ConfigError, match=expected):
        node.configure()


@pytest.mark.parametrize(
    ('remap', 'parameters'),
    [('joint_command:=real', {}), ('joint_command:=joint_command', OUTPUT), ('joint_states:=real', OUTPUT)],
)
def test_a_remap_with_effect_is_used(graph, remap, parameters):
    node = graph.inside(remapped(remap), **(ROBOT | parameters))
    node.configure()
