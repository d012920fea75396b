# SPDX-License-Identifier: Apache-2.0
"""Proposed mappings: right for usual names, with notes for the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from recordings import COMMANDS, FRONT, INSTRUCTION, SPEC, STATES, WRIST, Recorder, record_robot, recording

from aura_ros.common.errors import BagError
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.types import PARAMETERS
from aura_ros.replay.steps.candidates import is_instruction
from aura_ros.replay.steps.guess import Guess, guess
from aura_ros.replay.steps.mapping import ActionStream, Instruction, JointStream, Mapping

ONE = replace(SPEC, cameras=('front',))


def guessed(folder: Path, write: Callable[[Recorder], Any], spec: Any = SPEC) -> Guess:
    with recording(folder) as recorder:
        write(recorder)
    with Bag(folder) as bag:
        return guess(bag, spec)


def test_the_instruction_in_force_has_precedence(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        record_robot(recorder, 0.2)
        recorder.text('/left/instruction_in_force', 'of a goal', 1)

    found = guessed(tmp_path / 'bag', write)
    assert found.mapping.instruction == Instruction(topic='/left/instruction_in_force')


def test_finds_topics_by_names_and_types(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        record_robot(recorder, 0.2)
        recorder.step('/vla_step', 1, 2)
        recorder.image('/camera/front/depth', 1)
        recorder.joints('/leader/joint_states', 1, [0, 0, 0])
        recorder.text('/chatter', 'hello', 1)

    found = guessed(tmp_path / 'bag', write)
    assert found.mapping == Mapping(
        {'front': FRONT, 'wrist': WRIST},
        (JointStream(STATES),),
        (ActionStream(COMMANDS),),
        Instruction(topic=INSTRUCTION),
        '/vla_step',
    )
    assert found.notes == (
        'joints: /leader/joint_states is not used: its name is that of commands',
        'camera: /camera/front/depth is not used: its name is that of depth or labels',
        f'actions: /leader/joint_states is not used: {COMMANDS} was chosen',
        'instruction: /chatter is not used: its name is not that of an instruction',
    )


def test_notes_names_that_do_not_fit(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        recorder.image('/cam0', 0)
        recorder.joints('/states', 0, [0, 0, 0, 0], ('gripper', 'pan', 'lift', 'joint3'))
        recorder.trajectory('/goal', 0, [[0, 0]], names=('pan', 'lift'))

    found = guessed(tmp_path / 'bag', write)
    assert found.mapping.cameras == {'front': '/cam0', 'wrist': '/cam0'}
    assert found.mapping.joints == (JointStream('/states', {'joint1': 'gripper', 'joint2': 'pan'}),)
    assert found.mapping.actions == ()
    notes = '\n'.join(found.notes)
    assert 'camera front: no topic has that name; check that /cam0 is the right one' in notes
    assert 'camera wrist: there is no unused camera' in notes
    assert 'joints: names differ and were paired in order: joint1 = gripper, joint2 = pan' in notes
    assert 'actions: no topic commands joint1, joint2, joint3: the report has no action errors' in notes
    assert 'actions: /goal is not used: it commands pan, lift' in notes
    assert 'instruction: none was recorded' in notes


def test_takes_an_array_of_commands_in_the_backbones_order(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        recorder.image('/front', 0)
        recorder.joints(STATES, 0, [0, 0, 0])
        layout = recorder.make('std_msgs/msg/MultiArrayLayout', dim=[], data_offset=0)
        message = recorder.make('std_msgs/msg/Float64MultiArray', layout=layout, data=np.zeros(3))
        recorder.write('/position_controller/commands', message, 0)

    found = guessed(tmp_path / 'bag', write, ONE)
    assert found.mapping.actions == (ActionStream('/position_controller/commands', columns=SPEC.joint_names),)
    assumed = 'has no joint names; the mapping assumes joint1, joint2, joint3 in this order'
    assert any(assumed in note for note in found.notes)


def test_cartesian_commands_are_not_actions_for_a_backbone_of_joints(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        recorder.image('/front', 0)
        recorder.joints(STATES, 0, [0, 0, 0])
        vector = recorder.make('geometry_msgs/msg/Vector3', x=0.0, y=0.0, z=0.0)
        twist = recorder.make('geometry_msgs/msg/Twist', linear=vector, angular=vector)
        recorder.write('/servo/twist', recorder.make('geometry_msgs/msg/TwistStamped', stamp=0, twist=twist), 0)

    found = guessed(tmp_path / 'bag', write, ONE)
    assert found.mapping.actions == ()
    assert any('/servo/twist is not used: it commands no joints but linear.x' in note for note in found.notes)


def test_recorded_steps_alone_are_enough(tmp_path: Path) -> None:
    found = guessed(tmp_path / 'bag', lambda recorder: recorder.step('/vla_step', 1, 2))
    assert found.mapping == Mapping({}, steps='/vla_step')
    assert any('only the recorded steps can be replayed' in note for note in found.notes)


def test_without_camera_or_joints_there_is_nothing_to_propose(tmp_path: Path) -> None:
    with pytest.raises(BagError, match=r'has no camera .*; it has /joint_states \(sensor_msgs/msg/JointState\)'):
        guessed(tmp_path / 'a', lambda recorder: recorder.joints(STATES, 0, [0, 0, 0]))
    with pytest.raises(BagError, match='has no measured joints'):
        guessed(tmp_path / 'b', lambda recorder: recorder.image(FRONT, 0))


def test_recorded_cameras_are_in_the_namespace_of_their_node(tmp_path: Path) -> None:
    values = {'/left/vla_node': {'cameras': '{front: cam_a, wrist: cam_b/compressed}'}}
    with recording(tmp_path / 'bag', **{PARAMETERS: yaml.safe_dump(values)}) as recorder:
        recorder.joints('/left/joint_states', 0, [0, 0, 0])
        for name in ('/cam_a', '/left/cam_a', '/left/front', '/left/cam_b/compressed'):
            recorder.image(name, 0)
    with Bag(tmp_path / 'bag') as bag:
        found = guess(bag, SPEC).mapping
    assert found.cameras == {'front': '/left/cam_a', 'wrist': '/left/cam_b/compressed'}


@pytest.mark.parametrize(
    ('name', 'is_one'),
    [
        ('/instruction', True),
        ('/left/instruction_in_force', True),
        ('/prompt/text', True),
        ('lerobot.operator_prompt', True),
        ('/goal_planner/state', False),
        ('task_server/version', False),
        ('language_code', False),
        ('/task_id', False),
    ],
)
def test_the_last_part_of_a_name_is_that_of_an_instruction(name: str, is_one: bool) -> None:
    assert is_instruction(name) == is_one
