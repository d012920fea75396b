# SPDX-License-Identifier: Apache-2.0
"""Robots and recorders as they are: several sources of joints and commands, several clocks, and long recordings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings import (
    BEGIN_NS,
    COMMANDS,
    FRONT,
    INSTRUCTION,
    JOINTS,
    MS,
    SPEC,
    STATES,
    WRIST,
    Recorder,
    record_robot,
    recording,
)

from aura_ros.common.errors import BagError
from aura_ros.control import JointSources
from aura_ros.recordings.bags import Bag
from aura_ros.replay.run import mapping_of
from aura_ros.replay.steps.align import Observations, RecordedObservation
from aura_ros.replay.steps.alignment import AlignmentReport
from aura_ros.replay.steps.clocks import Clock, first_ns
from aura_ros.replay.steps.guess import guess
from aura_ros.replay.steps.mapping import ActionStream, Instruction, JointStream, Mapping

ONE = replace(SPEC, cameras=('front',))
BARE = Mapping({'front': FRONT}, (JointStream(STATES),), (), Instruction(text='go'))
ARM, GRIPPER = JOINTS[:2], JOINTS[2:]


def aligned(
    folder: Path, write: Callable[[Recorder], Any], mapping: Mapping | None = BARE, spec: Any = ONE
) -> tuple[list[RecordedObservation], AlignmentReport]:
    """Align a new recording; without a mapping by the proposed one."""
    with recording(folder) as recorder:
        write(recorder)
    with Bag(folder) as bag:
        source = Observations(bag, mapping or guess(bag, spec).mapping, spec)
        return list(source), source.report


def array(recorder: Recorder, *values: float) -> Any:
    layout = recorder.make('std_msgs/msg/MultiArrayLayout', dim=[], data_offset=0)
    return recorder.make('std_msgs/msg/Float64MultiArray', layout=layout, data=np.array(values, np.float64))


# Several sources.
# --------------------------------------------------------------------------------------------------
def two_sources(recorder: Recorder) -> None:
    """An arm at 100 Hz and a gripper in degrees at 20 Hz, each with topics of its own; the gripper's name differs."""
    for tick in range(100):
        at = tick * 10.0
        recorder.joints('/arm/joint_states', at, [at, -at], ARM)
        if tick % 5 == 0:
            recorder.joints('/hand/joint_states', at, [180.0], ('knuckle',))
            recorder.image(FRONT, at + 1)
            recorder.trajectory('/arm_controller/joint_trajectory', at, [[at, -at]], names=ARM)
        if tick == 20:
            recorder.write('/hand/command', array(recorder, 0.25), at)


def test_joints_and_commands_of_several_topics_are_merged(tmp_path: Path) -> None:
    mapping = replace(
        BARE,
        joints=(JointStream('/arm/joint_states'), JointStream('/hand/joint_states', {'joint3': 'knuckle'}, 'deg')),
        actions=(
            ActionStream('/arm_controller/joint_trajectory'),
            ActionStream('/hand/command', columns=('joint3',), tolerance_s=60.0),
        ),
    )
    found, report = aligned(tmp_path / 'bag', two_sources, mapping)
    assert len(found) == 10
    np.testing.assert_allclose(found[2].observation.joint_positions, [200.0, -200.0, np.pi], rtol=1e-6)
    assert [one.name for one in report.streams] == ['front', 'joint_states 1', 'joint_states 2']
    assert [one.used for one in report.streams] == [10, 10, 10]
    # Before the gripper's first command, at 200 ms, there is no action for all joints.
    actions = [one.recorded_action for one in found]
    assert actions[0] is None and actions[1] is None
    assert actions[3] is not None
    np.testing.assert_array_equal(actions[3], [[at, -at, 0.25] for at in (300, 350, 400, 450)])


def test_a_joint_that_no_topic_commands_is_named(tmp_path: Path) -> None:
    streams = ('/arm_controller/joint_trajectory', '/wheels/commands')

    def write(recorder: Recorder) -> None:
        two_sources(recorder)
        recorder.trajectory('/wheels/commands', 0, [[1.0]], names=('left',))

    mapping = replace(BARE, joints=(JointStream('/arm/joint_states'),), actions=tuple(map(ActionStream, streams)))
    with pytest.raises(BagError, match=r'no topic has joint3; /arm_controller/joint_trajectory has joint1, joint2'):
        aligned(tmp_path / 'bag', write, mapping)


def test_one_topic_can_command_arm_and_gripper_in_turn(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for tick in range(60):
            at = tick * 10.0
            recorder.joints(STATES, at, [0, 0, 0])
            if tick % 5 == 0:
                recorder.image(FRONT, at)
                recorder.joints('/leader/joints', at, [at, 0], ARM)
                recorder.joints('/leader/joints', at, [-at], GRIPPER)

    found, _ = aligned(tmp_path / 'bag', write, None)
    assert found[1].recorded_action is not None
    np.testing.assert_array_equal(found[1].recorded_action, [[at, 0, -at] for at in (100, 150, 200, 250)])


def test_a_slow_gripper_needs_a_larger_age(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for at in range(0, 1000, 50):
            recorder.joints(STATES, at, [0, 0], ARM)
            if at % 300 == 0:
                recorder.joints(STATES, at, [at], GRIPPER)
            recorder.image(FRONT, at + 1)

    few, report = aligned(tmp_path / 'a', write)
    assert len(few) < 8 and report.refused['joint_states: unaligned'] > 5
    found, _ = aligned(tmp_path / 'b', write, replace(BARE, max_joint_age_s=0.4))
    assert [one.observation.joint_positions[2] for one in found] == [0, 0, 0, 300, 300, 300, 600, 600, 600, 900]
    with Bag(tmp_path / 'a') as bag:
        mapping = guess(bag, ONE)
    assert mapping.mapping.sources.max_age_s == {'joint3': 0.6}
    assert 'joints: some come more rarely than the others: joint_max_age_s is joint3 0.6' in mapping.notes


def test_the_period_of_a_slow_joint_is_found_behind_many_messages_of_fast_ones(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for at in range(0, 3000, 2):
            recorder.joints(STATES, at, [0, 0], ARM)
            if at % 1000 == 800:
                recorder.joints(STATES, at, [at], GRIPPER)
        recorder.image(FRONT, 0)

    assert proposed(tmp_path / 'bag', write).mapping.sources.max_age_s == {'joint3': 2.0}


def test_the_age_of_a_slow_joint_does_not_loosen_the_others(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for at in range(0, 1000, 50):
            if at < 500:
                recorder.joints(STATES, at, [0, 0], ARM)
            if at % 300 == 0:
                recorder.joints(STATES, at, [at], GRIPPER)
            recorder.image(FRONT, at + 1)

    ages = JointSources(max_age_s={'joint3': 0.6})
    found, _ = aligned(tmp_path / 'bag', write, replace(BARE, sources=ages))
    assert [round(one.stamp_ns - BEGIN_NS) // MS for one in found] == [1, 101, 201, 301, 401, 501]


def test_a_joint_listed_twice_counts_once_if_both_positions_are_equal(tmp_path: Path) -> None:
    def write(recorder: Recorder, second: float) -> None:
        recorder.joints(STATES, 0, [1, 2, 3, second], (*JOINTS, 'joint3'))
        recorder.image(FRONT, 1)

    (one,), _ = aligned(tmp_path / 'a', lambda recorder: write(recorder, 3))
    assert one.observation.joint_positions.tolist() == [1, 2, 3]
    none, report = aligned(tmp_path / 'b', lambda recorder: write(recorder, 4))
    assert not none and 'has the joint joint3 twice with different positions' in report.streams[1].problem


def test_joints_of_other_names_are_noted(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        recorder.joints(STATES, 0, [1, 2], ('pan', 'tilt'))
        recorder.image(FRONT, 1)

    found, report = aligned(tmp_path / 'bag', write)
    assert not found
    assert f'{STATES}: messages name other joints (pan, tilt): map the names of the joints' in report.notes


# Clocks.
# --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('rate', [0.5, 1.0, 4.0])
def test_commands_without_a_stamp_follow_the_simulated_time_of_the_joints(tmp_path: Path, rate: float) -> None:
    """The recorder used the wall clock, on which the simulation ran at `rate`."""
    begin = -BEGIN_NS / MS + 5000.0  # the simulation begins at 5 s

    def write(recorder: Recorder) -> None:
        for tick in range(200):
            at = begin + tick * 10.0
            log = tick * 10.0 / rate
            recorder.joints(STATES, at, [0, 0, 0], log=log)
            if tick % 5 == 0:
                recorder.write('/cmd', array(recorder, tick * 10.0, 0, 0), log + 5.0 / rate)
                recorder.image(FRONT, at, log + 1.0)

    mapping = replace(BARE, actions=(ActionStream('/cmd', columns=JOINTS),))
    found, _ = aligned(tmp_path / 'bag', write, mapping)
    assert len(found) == 20 and found[0].stamp_ns == 5000 * MS
    covered = [one for one in found if one.recorded_action is not None]
    assert len(covered) >= 18
    for one in covered[:-1]:  # the last chunk reaches beyond the last command
        assert one.recorded_action is not None
        # Each command came 5 ms after the time that it names.
        times = one.stamp_ns / MS - 5000.0 + 50.0 * np.arange(4)
        np.testing.assert_allclose(times - one.recorded_action[:, 0], 50.0, atol=0.01)


def own_clock(recorder: Recorder) -> None:
    """A camera that stamps with the seconds since it was plugged in; it is logged 20 ms after the picture."""
    for tick in range(100):
        recorder.joints(STATES, tick * 10.0, [tick * 10.0, 0, 0])
        if tick % 5 == 0:
            recorder.image(FRONT, tick * 10.0 - BEGIN_NS / MS + 42_000.0, tick * 10.0 + 20.0)


def test_a_camera_of_its_own_clock_is_dated_by_its_arrival(tmp_path: Path) -> None:
    found, report = aligned(tmp_path / 'bag', own_clock, replace(BARE, arrival_cameras=frozenset({'front'})))
    assert [one.observation.joint_positions[0] for one in found] == [20, *range(120, 920, 100), 920]
    assert found[0].stamp_ns == BEGIN_NS + 20 * MS
    assert f'{FRONT}: the mapping dates the messages by their arrival' in report.notes


def test_clocks_that_differ_are_named_with_the_fix_and_the_guess_proposes_it(tmp_path: Path) -> None:
    found, report = aligned(tmp_path / 'bag', own_clock)
    assert not found
    (note,) = (note for note in report.notes if note.startswith('the clocks of'))
    assert f'{FRONT} and {STATES} differ by 1.7e+09 s: add clock: arrival' in note
    with Bag(tmp_path / 'bag') as bag:
        proposed = guess(bag, ONE)
    assert proposed.mapping.arrival_cameras == {'front'} and proposed.mapping.joints == (JointStream(STATES),)
    assert any(note.startswith(f'{FRONT}: its stamps differ from the clock of the others') for note in proposed.notes)


def test_joints_of_their_own_clock_are_the_odd_ones_beside_good_cameras(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for tick in range(50):
            recorder.joints(STATES, tick * 10.0 + 3_600_000.0, [0, 0, 0], log=tick * 10.0)
            recorder.image(FRONT, tick * 10.0)

    with recording(tmp_path / 'bag') as recorder:
        write(recorder)
    with Bag(tmp_path / 'bag') as bag:
        mapping = guess(bag, ONE).mapping
        assert mapping.joints == (JointStream(STATES, clock='arrival'),) and not mapping.arrival_cameras
        assert len(list(Observations(bag, mapping, ONE))) == 7
        assert Clock(bag, mapping, [STATES, FRONT]).reference == FRONT


def test_times_count_from_the_first_message_after_a_step_of_the_clock(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        recorder.text(INSTRUCTION, 'go on', -BEGIN_NS / MS)
        recorder.text('/robot_description', 'x', -BEGIN_NS / MS + 1.0)
        record_robot(recorder, 1.0, instruction='')

    with recording(tmp_path / 'bag') as recorder:
        write(recorder)
    with Bag(tmp_path / 'bag') as bag:
        mapping = replace(BARE, instruction=Instruction(topic=INSTRUCTION))
        assert bag.begin_ns == 0 and first_ns(bag, mapping) == BEGIN_NS
        found = list(Observations(bag, mapping, ONE, BEGIN_NS + 500 * MS, BEGIN_NS + 900 * MS))
    assert [(one.stamp_ns - BEGIN_NS) // MS for one in found] == [501, 601, 701, 801]
    assert {one.observation.instruction for one in found} == {'go on'}


def test_a_step_of_the_clock_between_pictures_hides_none_of_them(tmp_path: Path) -> None:
    with recording(tmp_path / 'bag') as recorder:
        for begin in (-BEGIN_NS / MS + 20_000.0, 0.0):
            for at in range(0, 1000, 100):
                recorder.joints(STATES, begin + at, [0, 0, 0])
                recorder.image(FRONT, begin + at)
    with Bag(tmp_path / 'bag') as bag:
        assert first_ns(bag, BARE) == 20_000 * MS
        assert len(list(Observations(bag, BARE, ONE))) == 20


# Many reasons.
# --------------------------------------------------------------------------------------------------
def test_reasons_that_differ_in_numbers_only_count_as_one(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for tick in range(60):
            recorder.joints(STATES, tick * 100.0, [0, 0, 0])
            fields = {'height': 4, 'width': 4, 'encoding': 'rgb8', 'is_bigendian': 0, 'step': 12}
            pixels = np.ones(100 + tick, np.uint8)
            message = recorder.make('sensor_msgs/msg/Image', stamp=tick * 100.0, data=pixels, **fields)
            recorder.write(FRONT, message, tick * 100.0)

    found, report = aligned(tmp_path / 'bag', write)
    assert not found
    ((reason, count),) = report.refused.items()
    assert '100 bytes' in reason and count == 60, 'the first reason is the example'


def test_the_number_of_reasons_is_limited() -> None:
    report = AlignmentReport(BARE, {'front': FRONT, 'joint_states': STATES})
    for kind in range(300):
        report.refuse(f'reason {chr(0x4E00 + kind)} of frame {kind}')
    assert len(report.refused) == 21 and report.refused['other reasons'] == 280


# Proposals.
# --------------------------------------------------------------------------------------------------
def proposed(folder: Path, write: Callable[[Recorder], Any], spec: Any = ONE, **custom: str) -> Any:
    with recording(folder, **custom) as recorder:
        write(recorder)
    with Bag(folder) as bag:
        return guess(bag, spec)


def test_empty_first_messages_are_skipped(tmp_path: Path) -> None:
    names = tuple(f'left_{name}' for name in JOINTS)

    def write(recorder: Recorder) -> None:
        recorder.joints(STATES, 0, [], ())
        recorder.trajectory(COMMANDS, 0, [], (), names=())
        for at in (10.0, 20.0):
            recorder.joints(STATES, at, [0, 0, 0], names[::-1])
            recorder.trajectory(COMMANDS, at, [[0, 0, 0]], names=names)
            recorder.image(FRONT, at)

    found = proposed(tmp_path / 'bag', write)
    renamed = dict(zip(JOINTS, names, strict=True))
    assert found.mapping.joints == (JointStream(STATES, renamed),)
    assert found.mapping.actions == (ActionStream(COMMANDS, columns=renamed),)
    assert any(note.startswith('joints: names differ and were paired by their ends') for note in found.notes)


@pytest.mark.parametrize(
    ('measured', 'commanded'),
    [
        ('/puppet/joint_left', '/master/joint_left'),
        ('/follower_arm/joint_states', '/leader_arm/joint_states'),
        ('/arm/state', '/gello_teleop/state'),
    ],
)
def test_the_arm_that_an_operator_moves_is_the_command(tmp_path: Path, measured: str, commanded: str) -> None:
    def write(recorder: Recorder) -> None:
        for at in range(0, 100, 10):
            recorder.joints(commanded, at, [0, 0, 0])
            recorder.joints(commanded.replace('left', 'right'), at, [0, 0, 0])
            if at % 20 == 0:
                recorder.joints(measured, at, [0, 0, 0])
        recorder.image(FRONT, 0)

    found = proposed(tmp_path / 'bag', write)
    assert found.mapping.joints == (JointStream(measured),) and found.mapping.actions == (ActionStream(commanded),)
    assert f'joints: {commanded} is not used: its name is that of commands' in found.notes


def test_the_guess_finds_the_topics_of_arm_and_gripper(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for at in range(0, 100, 10):
            recorder.joints('/arm/joint_states', at, [0, 0], ARM)
            recorder.joints('/gripper/joint_states', at, [0], GRIPPER)
            recorder.joints('/base/joint_states', at, [0], ('wheel',))
            recorder.trajectory('/arm_controller/joint_trajectory', at, [[0, 0]], names=ARM)
            recorder.write('/gripper_controller/commands', array(recorder, 0.0), at)
        recorder.image(FRONT, 0)

    found = proposed(tmp_path / 'bag', write)
    assert found.mapping.joints == (JointStream('/arm/joint_states'), JointStream('/gripper/joint_states'))
    assert found.mapping.actions == (
        ActionStream('/arm_controller/joint_trajectory'),
        ActionStream('/gripper_controller/commands', columns=GRIPPER),
    )
    why = 'joints: /base/joint_states is not used: it has 0 of the joints, /arm/joint_states has 2'
    assert why in found.notes


def test_the_guess_keeps_to_one_robot_and_lists_the_others(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for robot in ('/alpha', '/beta'):
            for at in range(0, 100, 10 if robot == '/beta' else 20):
                recorder.joints(f'{robot}/joint_states', at, [0, 0, 0])
                recorder.trajectory(f'{robot}/arm_controller/joint_trajectory', at, [[0, 0, 0]])
                recorder.image(f'{robot}/front/image_raw', at)
                recorder.text(f'{robot}/instruction', 'go', at)

    found = proposed(tmp_path / 'bag', write)
    assert found.mapping.topics == (
        '/beta/front/image_raw',
        '/beta/joint_states',
        '/beta/instruction',
        '/beta/arm_controller/joint_trajectory',
    )
    assert 'there are several robots: the mapping keeps to that of /beta/joint_states; others are /alpha' in found.notes
    rejected = [note for note in found.notes if note.endswith('it belongs to another robot')]
    assert len(rejected) == 4 and 'camera: /alpha/front/image_raw is not used: it belongs to another robot' in rejected


@pytest.mark.parametrize(
    ('measured', 'other', 'prefix'),
    [
        ('/fleet/r1/joint_states', '/fleet/r2/joint_states', '/fleet/r2'),
        ('/joint_states', '/arm/joint_states', ''),
        ('/arm/left', '/arm/right', ''),
    ],
)
def test_another_robot_has_the_same_topics_in_another_namespace(
    tmp_path: Path, measured: str, other: str, prefix: str
) -> None:
    def write(recorder: Recorder) -> None:
        for at in range(0, 100, 10):
            recorder.joints(measured, at, [0, 0, 0])
            if at % 20 == 0:
                recorder.joints(other, at, [0, 0, 0])
        recorder.image('/arm/front', 0)

    found = proposed(tmp_path / 'bag', write)
    assert found.mapping.joints == (JointStream(measured),) and found.mapping.cameras == {'front': '/arm/front'}
    assert any(note.endswith(f'others are {prefix}') for note in found.notes) == bool(prefix)


def test_a_prompt_in_the_notes_of_the_bag_is_the_instruction_unless_a_topic_has_one(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        recorder.joints(STATES, 0, [0, 0, 0])
        recorder.image(FRONT, 0)
        recorder.text('/task_prompt', ' ', 0)

    notes = {'lerobot.operator_prompt': ' fold the towel ', 'goal_id': '0f3a', 'robot': 'so101'}
    found = proposed(tmp_path / 'a', write, **notes)
    assert found.mapping.instruction == Instruction(text='fold the towel')
    assert 'instruction: /task_prompt is not used: its texts are empty' in found.notes
    with Bag(tmp_path / 'a') as bag:
        without, notes_of_it = mapping_of(bag, replace(BARE, instruction=Instruction()), '', ONE)
    assert without.instruction == Instruction(text='fold the towel')
    assert notes_of_it == ('the mapping has no instruction: that of the note lerobot.operator_prompt is used',)
    said = proposed(tmp_path / 'b', lambda recorder: (write(recorder), recorder.text('/task', 'sort', 1)), **notes)
    assert said.mapping.instruction == Instruction(topic='/task')
    assert 'instruction: the note lerobot.operator_prompt is not used: /task was chosen' in said.notes


def test_every_candidate_that_is_not_chosen_is_listed_with_its_reason(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        record_robot(recorder, 0.2)
        recorder.joints('/empty/joint_states', 0, [], ())
        recorder.write('/wrench_command', array(recorder, 0.0, 0.0), 0)
        recorder.joints('/leader', 0, [0, 0, 0])
        recorder.text('/rosout_text', 'x', 0)
        recorder.image('/side/image_raw', 0)

    found = proposed(tmp_path / 'bag', write, SPEC)
    assert found.mapping.topics == (FRONT, WRIST, STATES, INSTRUCTION, COMMANDS)
    assert sorted(found.notes) == [
        'actions: /empty/joint_states is not used: its name is not that of commands',
        f'actions: /leader is not used: {COMMANDS} was chosen',
        'actions: /wrench_command is not used: its messages have 2 values without names, the actions 3',
        'camera: /side/image_raw is not used: the cameras front, wrist fit other topics better',
        'instruction: /rosout_text is not used: its name is not that of an instruction',
        'joints: /empty/joint_states is not used: its messages name no joints',
        'joints: /leader is not used: its name is that of commands',
    ]


def test_twists_without_a_stamp_are_actions(tmp_path: Path) -> None:
    spec = replace(ONE, joint_names=('linear.x', 'linear.y', 'angular.z'))

    def write(recorder: Recorder) -> None:
        for at in range(0, 600, 50):
            recorder.joints(STATES, at, [0, 0, 0], spec.joint_names)
            recorder.image(FRONT, at)
            linear = recorder.make('geometry_msgs/msg/Vector3', x=at * 1.0, y=0.0, z=9.0)
            angular = recorder.make('geometry_msgs/msg/Vector3', x=9.0, y=9.0, z=-1.0)
            recorder.write('/cmd_vel', recorder.make('geometry_msgs/msg/Twist', linear=linear, angular=angular), at)

    found, _ = aligned(tmp_path / 'bag', write, None, spec)
    assert found[0].recorded_action is not None
    np.testing.assert_array_equal(found[0].recorded_action, [[at, 0, -1] for at in (0, 50, 100, 150)])
