# SPDX-License-Identifier: Apache-2.0
"""Streams become observations by the rule of the live graph; unused samples are counted with the reason."""

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
    robot_bag,
)

from aura_ros.common.errors import BagError
from aura_ros.common.limits import INSTRUCTION_CHARS
from aura_ros.control import JointMap, JointSources
from aura_ros.recordings.bags import Bag
from aura_ros.replay.steps.align import Observations, RecordedObservation
from aura_ros.replay.steps.alignment import AlignmentReport
from aura_ros.replay.steps.mapping import ActionStream, Instruction, JointStream, Mapping
from aura_ros.vla.assembler import Aligned, Assembler, AssemblerConfig

MAPPING = Mapping(
    {'front': FRONT, 'wrist': WRIST}, (JointStream(STATES),), (ActionStream(COMMANDS),), Instruction(topic=INSTRUCTION)
)
BARE = replace(MAPPING, actions=(), instruction=Instruction(text='go'))
ONE = replace(SPEC, cameras=('front',))
IN_FORCE = '/instruction_in_force'


def aligned(
    folder: Path, write: Callable[[Recorder], Any], mapping: Mapping = BARE, spec: Any = ONE, **span: int
) -> tuple[list[RecordedObservation], AlignmentReport]:
    with recording(folder) as recorder:
        write(recorder)
    with Bag(folder) as bag:
        source = Observations(bag, mapping, spec, **span)
        found = list(source)
        return found, source.report


def offsets(found: list[RecordedObservation]) -> list[float]:
    return [(one.stamp_ns - BEGIN_NS) / MS for one in found]


def test_observes_at_the_pace_of_the_backbone(tmp_path: Path) -> None:
    found, report = aligned(tmp_path / 'bag', record_robot, MAPPING, SPEC)
    # Two of three cameras' ticks: n_action_steps x seconds_per_action = 0.1 s.
    assert offsets(found) == [1.0, *np.arange(101.0, 2000.0, 100.0)]
    assert {one.observation.instruction for one in found} == {'put it back'}
    assert (report.observations, dict(report.refused)) == (20, {'between two steps': 20})
    third = found[3].observation
    np.testing.assert_allclose(third.joint_positions, [0.3, 1.3, 2.3], rtol=1e-6)
    assert third.joint_positions.dtype == np.float32
    assert third.images['front'].shape == (8, 8, 3) and third.images['front'][0, 0, 0] == 20 + 30
    streams = {one.name: one for one in report.streams}
    assert (streams['front'].samples, streams['front'].used) == (40, 20)
    assert (streams['joint_states'].samples, streams['joint_states'].used) == (200, 20)
    # The picture of the other camera that is in force when the first one's arrives is one period old.
    assert (streams['wrist'].skew.p50, streams['wrist'].skew.largest) == (49.0, 49.0)


def test_agrees_with_the_live_assembler_fed_in_the_order_of_the_stamps(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    arrivals = []
    for topic, period in ((FRONT, 33), (WRIST, 40), (STATES, 9)):
        for number in range(2000 // period):
            stamp = number * period + float(random.integers(0, 12))
            arrivals.append((stamp + float(random.integers(0, 60)), topic, stamp))
    arrivals.sort()

    def write(recorder: Recorder) -> None:
        for log, topic, stamp in arrivals:
            if topic == STATES:
                recorder.joints(topic, stamp, [stamp, 0, 0], log=log)
            else:
                recorder.image(topic, stamp, log)

    found, report = aligned(tmp_path / 'bag', write, BARE, SPEC)
    config = AssemblerConfig(('front', 'wrist'), joints=JOINTS, min_interval_ns=75 * MS)
    live: Assembler[float] = Assembler(config)
    names, expected, accepted, newest = {FRONT: 'front', WRIST: 'wrist'}, [], [], {}
    for _, topic, stamp in arrivals:
        if stamp > newest.get(topic, -1.0):
            accepted.append((stamp, topic == FRONT, topic))
            newest[topic] = stamp
    refused = len(arrivals) - len(accepted)
    for stamp, _, topic in sorted(accepted):
        at = BEGIN_NS + round(stamp * MS)
        if topic == STATES:
            live.add_joints(at, dict.fromkeys(JOINTS, stamp))
        else:
            live.add(names[topic], at, stamp)
        if isinstance(step := live.take(at), Aligned):
            expected.append((step.stamp_ns, step.joints[0], step.skew_ns))
    assert [(one.stamp_ns, one.observation.joint_positions[0], one.skew_ns) for one in found] == expected
    assert len(expected) > 10
    assert sum(one.out_of_order for one in report.streams) == refused > 0


def test_nothing_is_filled_in_where_a_stream_has_a_gap(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for at in range(0, 1000, 100):
            if not 300 <= at < 600:
                recorder.joints(STATES, at, [0, 0, 0])
            recorder.image(FRONT, at + 1)

    found, report = aligned(tmp_path / 'bag', write)
    assert offsets(found) == [1, 101, 201, 601, 701, 801, 901]
    assert dict(report.refused) == {'joint_states: unaligned': 3}


def test_the_slop_of_the_mapping_counts(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        recorder.joints(STATES, 0, [0, 0, 0])
        recorder.image(FRONT, 100)

    assert not aligned(tmp_path / 'a', write)[0]
    (one,) = aligned(tmp_path / 'b', write, replace(BARE, slop_s=0.1))[0]
    assert one.skew_ns == 100 * MS


def test_joints_are_found_by_name_and_brought_to_radians(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        recorder.joints(STATES, 0, [180, 7, 90, -90], ('a', 'gripper', 'joint3', 'joint2'))
        recorder.image(FRONT, 0)

    mapping = replace(BARE, joints=(JointStream(STATES, {'joint1': 'a'}, 'deg'),))
    (one,) = aligned(tmp_path / 'bag', write, mapping)[0]
    np.testing.assert_allclose(one.observation.joint_positions, [np.pi, -np.pi / 2, np.pi / 2], rtol=1e-6)


def test_the_maps_of_the_robot_file_apply_to_joints_and_actions(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        recorder.joints(STATES, 0, [0.1, 0.2, 0.01])
        recorder.trajectory(COMMANDS, 0, [[0.3, 0.4, 0.02]])
        recorder.image(FRONT, 0)
        recorder.trajectory(COMMANDS, 1000, [[0.3, 0.4, 0.02]])

    maps = {'joint3': JointMap('joint3', (0.0, 1.0), (0.04, 0.0))}
    actions = (ActionStream(COMMANDS, tolerance_s=5.0),)
    (one,) = aligned(tmp_path / 'bag', write, replace(BARE, actions=actions, sources=JointSources(maps=maps)))[0]
    np.testing.assert_allclose(one.observation.joint_positions, [0.1, 0.2, 0.75], rtol=1e-6)
    assert one.recorded_action is not None
    np.testing.assert_allclose(one.recorded_action[0], [0.3, 0.4, 0.5], rtol=1e-6)


def test_unusable_joint_states_are_counted_with_the_reason(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        recorder.joints(STATES, 0, [0, 0, 0], ('other', 'joint1', 'joint1'))
        recorder.joints(STATES, 1, [0, 0, np.nan])
        recorder.joints(STATES, 2, [0, 0, 1e300])
        recorder.joints(STATES, 3, [0, 0])
        recorder.image(FRONT, 4)

    found, report = aligned(tmp_path / 'bag', write)
    assert not found and report.streams[1].unusable == 3
    assert report.streams[1].problem == 'has 2 positions for 3 names: must have one for each'
    assert any('3 messages could not be used' in note for note in report.notes)


def test_joints_of_separate_messages_are_merged_by_name(tmp_path: Path) -> None:
    """Arm and gripper publish on one topic, with equal and with late stamps. Other joints do not matter."""

    def write(recorder: Recorder) -> None:
        recorder.joints(STATES, 0, [], ())
        for at in range(0, 500, 10):
            recorder.joints(STATES, at, [at, -at], JOINTS[:2])
            recorder.joints(STATES, at, [7, 7], ('base', 'lift'))
            if at % 50 == 0:
                recorder.joints(STATES, at, [2 * at], JOINTS[2:])
            if at % 100 == 45:
                recorder.joints(STATES, at - 3, [2 * at], JOINTS[2:])
        for at in range(100, 500, 100):
            recorder.image(FRONT, at + 9)

    found, report = aligned(tmp_path / 'bag', write)
    assert offsets(found) == [109, 209, 309, 409]
    assert [one.observation.joint_positions.tolist() for one in found] == [
        [at, -at, 2 * at] for at in (100, 200, 300, 400)
    ]
    assert [one.skew_ns for one in found] == [9 * MS] * 4
    assert not report.streams[1].unusable and not report.streams[1].out_of_order


def test_a_joint_that_is_too_far_away_is_named(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        recorder.joints(STATES, 0, [1], JOINTS[2:])
        for at in range(0, 300, 50):
            recorder.joints(STATES, at, [0, 0], JOINTS[:2])
            recorder.image(FRONT, at)

    found, report = aligned(tmp_path / 'bag', write)
    assert offsets(found) == [0]
    assert dict(report.refused) == {'between two steps': 1, 'joint_states: unaligned': 4}


def test_black_and_undecodable_pictures_make_no_observation(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for at in (0, 100, 200, 300):
            recorder.joints(STATES, at, [0, 0, 0])
            if at == 100:
                recorder.image(FRONT, at, level=0)
            elif at == 200:
                recorder.write(
                    FRONT,
                    recorder.make(
                        'sensor_msgs/msg/Image',
                        stamp=at,
                        height=8,
                        width=8,
                        encoding='32FC1',
                        is_bigendian=0,
                        step=8,
                        data=np.zeros(64, np.uint8),
                    ),
                    at,
                )
            else:
                recorder.image(FRONT, at)

    found, report = aligned(tmp_path / 'bag', write)
    assert offsets(found) == [0, 300]
    assert any('black' in reason for reason in report.refused)
    assert any('32FC1' in reason for reason in report.refused)


def test_an_encoding_without_colours_and_rows_without_a_step_are_decoded_and_noted(tmp_path: Path) -> None:
    bgr = np.full((8, 8, 3), (30, 100, 200), np.uint8)

    def write(recorder: Recorder) -> None:
        recorder.joints(STATES, 0, [0, 0, 0])
        fields = {'height': 8, 'width': 8, 'encoding': '8UC3', 'is_bigendian': 0, 'step': 0, 'data': bgr.ravel()}
        recorder.write(FRONT, recorder.make('sensor_msgs/msg/Image', stamp=0, **fields), 0)

    (one,), report = aligned(tmp_path / 'bag', write)
    np.testing.assert_array_equal(one.observation.images['front'], bgr[:, :, ::-1])
    assert [note for note in report.notes if note.startswith(FRONT)] == [
        f'{FRONT}: encoding 8UC3 does not name its colours and is read as bgr8'
    ]


def test_an_empty_instruction_changes_nothing(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        recorder.text(INSTRUCTION, '', 0.0)
        recorder.text(INSTRUCTION, '  lift it ', 500.0)
        recorder.text(INSTRUCTION, ' ', 1000.0)
        record_robot(recorder, 2.0, instruction='')

    found, report = aligned(tmp_path / 'bag', write, replace(BARE, instruction=Instruction(topic=INSTRUCTION)))
    assert {one.observation.instruction for one in found} == {'lift it'}
    assert found[-1].stamp_ns > BEGIN_NS + 1500 * MS
    assert report.refused['before the first instruction'] > 0


def test_a_long_instruction_is_used_as_in_the_graph(tmp_path: Path) -> None:
    long = ('把红色方块放进碗里🟥 ' * 40).strip()
    mapping = replace(BARE, instruction=Instruction(topic=INSTRUCTION))
    found, _ = aligned(tmp_path / 'bag', lambda recorder: record_robot(recorder, 0.5, long), mapping)
    assert {one.observation.instruction for one in found} == {long}
    found, _ = aligned(tmp_path / 'huge', lambda recorder: record_robot(recorder, 0.5, 'x' * 10_000), mapping)
    assert {one.observation.instruction for one in found} == {'x' * INSTRUCTION_CHARS}


def test_the_instruction_in_force_applies_from_the_first_step_under_it(tmp_path: Path) -> None:
    """A goal arrives 40 ms after the picture of its first step was recorded."""

    def write(recorder: Recorder) -> None:
        record_robot(recorder, 2.0, instruction='')
        for stamp, text in ((401.0, 'first'), (1001.0, 'second')):
            recorder.text(IN_FORCE, text, stamp + 40)
            recorder.step('/vla_step', stamp, stamp + 60, text)

    found, _ = aligned(tmp_path / 'bag', write, replace(BARE, instruction=Instruction(topic=IN_FORCE)))
    assert offsets(found)[0] == 401.0
    texts = {at: one.observation.instruction for at, one in zip(offsets(found), found, strict=True)}
    assert {text for at, text in texts.items() if at < 1001.0} == {'first'}
    assert {text for at, text in texts.items() if at >= 1001.0} == {'second'}


def test_waits_for_the_first_instruction_and_follows_the_newest(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for at in range(0, 600, 100):
            if at in (200, 400):
                recorder.text(INSTRUCTION, f'do {at}', at)
            recorder.joints(STATES, at, [0, 0, 0])
            recorder.image(FRONT, at)

    mapping = replace(BARE, instruction=Instruction(topic=INSTRUCTION))
    found, report = aligned(tmp_path / 'bag', write, mapping)
    assert [one.observation.instruction for one in found] == ['do 200', 'do 200', 'do 400', 'do 400']
    assert report.refused['before the first instruction'] == 2
    # What was said before the range is still in force in it.
    with Bag(tmp_path / 'bag') as bag:
        late = Observations(bag, mapping, ONE, begin_ns=BEGIN_NS + 300 * MS, end_ns=BEGIN_NS + 500 * MS)
        assert [one.observation.instruction for one in late] == ['do 200', 'do 400']


def test_a_clock_set_back_starts_again_and_a_late_sample_is_dropped(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for log, stamp in enumerate((5000, 5100, 5050, 5200, 0, 100, 200)):
            recorder.joints(STATES, stamp, [0, 0, 0], log=100 * log)
            recorder.image(FRONT, stamp, 100 * log + 1)

    found, report = aligned(tmp_path / 'bag', write)
    assert offsets(found) == [5000, 5100, 5200, 0, 100, 200]
    assert report.jumps >= 1 and [one.out_of_order for one in report.streams] == [1, 1]


def test_messages_without_a_stamp_are_used_and_noted(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for at in range(0, 500, 100):
            recorder.joints(STATES, -BEGIN_NS / MS, [at, 0, 0], log=at)
            recorder.image(FRONT, at, at)

    found, report = aligned(tmp_path / 'bag', write)
    assert [one.observation.joint_positions[0] for one in found] == [0, 100, 200, 300, 400]
    assert any('5 messages have no stamp; vla_node refuses them' in note for note in report.notes)


def test_stamps_of_another_clock_are_aligned_and_noted(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for at in range(0, 500, 100):
            recorder.joints(STATES, at - 3_600_000, [at, 0, 0], log=at)
            recorder.image(FRONT, at - 3_600_000, at)

    found, report = aligned(tmp_path / 'bag', write)
    assert len(found) == 5
    assert any('stamps differ from the times of arrival by 3.6e+03 s' in note for note in report.notes)


def test_one_topic_may_serve_two_cameras(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        recorder.joints(STATES, 0, [0, 0, 0])
        recorder.image(FRONT, 0)

    (one,) = aligned(tmp_path / 'bag', write, replace(BARE, cameras={'front': FRONT, 'wrist': FRONT}), SPEC)[0]
    np.testing.assert_array_equal(one.observation.images['front'], one.observation.images['wrist'])


def test_a_partial_recording_gives_its_observations(tmp_path: Path) -> None:
    folder = robot_bag(tmp_path / 'bag')
    (file,) = folder.glob('*.mcap')
    data = file.read_bytes()
    file.write_bytes(data[: int.from_bytes(data[-28:-20], 'little')])
    with Bag(folder) as bag:
        source = Observations(bag, MAPPING, SPEC)
        assert len(list(source)) == 20
        assert bag.partial.startswith('bag.mcap: the index is missing') and not bag.damage


@pytest.mark.parametrize(
    ('mapping', 'text'),
    [
        (replace(BARE, cameras={'wrist': WRIST}), "the mapping has no camera front, which backbone 'test' needs"),
        (replace(BARE, cameras={'front': '/cam', 'wrist': WRIST}), 'has no topic /cam, which the mapping names'),
        (replace(BARE, cameras={'front': FRONT[:-1], 'wrist': WRIST}), f'did you mean {FRONT}? It has'),
        (replace(BARE, cameras={'front': STATES, 'wrist': WRIST}), f'{STATES} is of type sensor_msgs/msg/JointState'),
        (replace(BARE, joints=(JointStream(FRONT),)), f'{FRONT} is of type'),
        (replace(BARE, joints=()), 'the mapping has no joints'),
        (replace(BARE, instruction=Instruction(topic=STATES)), f'{STATES} is of type'),
        (replace(BARE, actions=(ActionStream(FRONT),)), f'actions: {FRONT} is of type sensor_msgs/msg/Image'),
        (replace(BARE, actions=(ActionStream(COMMANDS, 'twist_stamped'),)), "kind 'twist_stamped' needs geometry_msgs"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_before_reading(tmp_path: Path, mapping: Mapping, text: str) -> None:
    with Bag(robot_bag(tmp_path / 'bag')) as bag, pytest.raises(BagError) as caught:
        Observations(bag, mapping, SPEC)
    assert text in str(caught.value)


def test_a_picture_logged_before_its_joints_finds_them(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for at in range(0, 1000, 100):
            recorder.image(FRONT, at, log=at)
            recorder.joints(STATES, at, [at, 0, 0], log=at + 120)

    found, report = aligned(tmp_path / 'bag', write, replace(BARE, slop_s=0.0))
    assert [(at, one.observation.joint_positions[0]) for at, one in zip(offsets(found), found, strict=True)] == [
        (at, at) for at in range(0, 1000, 100)
    ]
    assert not report.refused


def test_a_picture_stamped_in_the_future_is_refused_and_blocks_nothing(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for at in range(0, 4000, 100):
            recorder.joints(STATES, at, [0, 0, 0])
            recorder.image(FRONT, at + 1 + (60_000 if at == 3000 else 0), log=at + 1)

    found, report = aligned(tmp_path / 'bag', write)
    # The next sample looks like a clock that was set back, so the streams start again.
    assert offsets(found) == [*range(1, 3000, 100), *range(3201, 4000, 100)]
    assert dict(report.refused) == {'joint_states: unaligned': 2}
    assert report.jumps == 1


def test_an_episode_begins_at_the_same_stamp_as_in_the_recorded_steps(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for at in range(0, 1000, 50):
            recorder.joints(STATES, at, [0, 0, 0])
            recorder.image(FRONT, at)
        for episode, at in (('one', 0), ('one', 100), ('two', 550), ('two', 650)):
            recorder.write(
                '/vla_step',
                recorder.make(
                    'aura_ros/msg/VlaStep',
                    stamp=at,
                    episode_id=episode,
                    backbone_hash='',
                    seq=0,
                    features=np.zeros(1, np.float32),
                    base_action=np.zeros(1, np.float32),
                    chunk_size=1,
                    action_dim=1,
                    seconds_per_action=0.1,
                    inference_ms=1.0,
                ),
                at + 30,
            )

    found, _ = aligned(tmp_path / 'bag', write)
    assert offsets(found) == [0, 100, 200, 300, 400, 500, 550, 650, 750, 850, 950]
    assert [one.episode for one in found] == ['one'] * 6 + ['two'] * 5
