# SPDX-License-Identifier: Apache-2.0
"""Recorded actions of every kind: time in force, order of columns and units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from close import assert_close
from numpy.typing import NDArray
from recordings import BEGIN_NS, MS, SPEC, Recorder, recording

from aura_ros.common.errors import BagError
from aura_ros.control import JointSources
from aura_ros.recordings.bags import Bag
from aura_ros.replay.steps.actions import ActionSource, ActionTrack, action_kind
from aura_ros.replay.steps.align import Observations
from aura_ros.replay.steps.mapping import ActionStream, Instruction, JointStream, Mapping

TOPIC = '/command'
JOINTS = SPEC.joint_names


def track(folder: Path, stream: ActionStream, write: Callable[[Recorder], Any], names: Any = JOINTS) -> ActionTrack:
    with recording(folder) as recorder:
        write(recorder)
    with Bag(folder) as bag:
        source = ActionSource(stream, action_kind(stream, bag.topics[0].type), names, JointSources())
        found = ActionTrack([source], len(names))
        for sample in bag.samples([TOPIC]):
            found.add(sample)
    return found


def at(found: ActionTrack, *offsets: float) -> list[Any]:
    """First column at times in ms; None without an action in force."""
    rows = [found.chunk(BEGIN_NS + round(offset * MS), 1, MS) for offset in offsets]
    return [None if row is None else pytest.approx(float(row[0, 0]), abs=1e-6) for row in rows]


def test_an_action_is_in_force_until_the_next_or_the_tolerance(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for stamp, value in ((0, 1.0), (50, 2.0), (500, 3.0)):
            recorder.joints(TOPIC, stamp, [value, 0, 0])

    found = track(tmp_path / 'bag', ActionStream(TOPIC, tolerance_s=0.2), write)
    assert at(found, -1, 0, 49, 50, 250, 251, 499, 500) == [None, 1, 1, 2, 2, None, None, 3]
    assert found.chunk(BEGIN_NS, 5, 50 * MS) is not None
    assert found.chunk(BEGIN_NS, 7, 50 * MS) is None, 'a gap in a chunk leaves none of it'


def test_a_trajectory_moves_from_point_to_point(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        recorder.trajectory(TOPIC, 0, [[1, 0, 0], [3, 0, 0]], (0.1, 0.3))
        recorder.trajectory(TOPIC, 1000, [[9, 0, 0]], (0.05,))

    found = track(tmp_path / 'bag', ActionStream(TOPIC, tolerance_s=0.2), write)
    assert at(found, 0, 100, 150, 200, 300, 500) == [1, 1, 1.5, 2, 3, 3]
    assert at(found, 501, 999, 1000, 1250, 1251) == [None, None, 9, 9, None]


def test_columns_go_by_name(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        recorder.trajectory(TOPIC, 0, [[10, 20, 30, 40]], names=('c', 'x', 'joint2', 'joint1'))
        recorder.trajectory(TOPIC, 50, [[1, 2, 3]], names=('joint1', 'joint2', 'c'))

    found = track(tmp_path / 'bag', ActionStream(TOPIC, columns={'joint3': 'c'}), write)
    chunk = found.chunk(BEGIN_NS, 2, 50 * MS)
    assert chunk is not None and chunk.dtype == np.float32
    np.testing.assert_array_equal(chunk, [[40, 30, 10], [1, 2, 3]])


def test_an_array_is_in_the_listed_order_or_the_backbones(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        layout = recorder.make('std_msgs/msg/MultiArrayLayout', dim=[], data_offset=0)
        recorder.write(
            TOPIC, recorder.make('std_msgs/msg/Float64MultiArray', layout=layout, data=np.array([90.0, 180.0, 0.0])), 0
        )

    listed = ActionStream(TOPIC, columns=('joint3', 'joint1', 'joint2'), unit='deg')
    assert_close(_row(track(tmp_path / 'a', listed, write)), [np.pi, 0, np.pi / 2])
    np.testing.assert_array_equal(_row(track(tmp_path / 'b', ActionStream(TOPIC), write)), [90, 180, 0])
    with pytest.raises(BagError, match='has 3 values without names: list the 3 names in columns, including a, b'):
        track(tmp_path / 'c', ActionStream(TOPIC), write, ('a', 'b'))


def test_twists_and_poses_have_columns_of_their_own(tmp_path: Path) -> None:
    def vector(recorder: Recorder, kind: str, *values: float) -> Any:
        return recorder.make(f'geometry_msgs/msg/{kind}', **dict(zip('xyzw', values, strict=False)))

    def twist(recorder: Recorder) -> None:
        value = recorder.make(
            'geometry_msgs/msg/Twist',
            linear=vector(recorder, 'Vector3', 1, 2, 3),
            angular=vector(recorder, 'Vector3', 4, 5, 6),
        )
        recorder.write(TOPIC, recorder.make('geometry_msgs/msg/TwistStamped', stamp=0, twist=value), 0)

    def pose(recorder: Recorder) -> None:
        value = recorder.make(
            'geometry_msgs/msg/Pose',
            position=vector(recorder, 'Point', 1, 2, 3),
            orientation=vector(recorder, 'Quaternion', 4, 5, 6, 7),
        )
        recorder.write(TOPIC, recorder.make('geometry_msgs/msg/PoseStamped', stamp=0, pose=value), 0)

    stream = ActionStream(TOPIC, columns={'vx': 'linear.x', 'wz': 'angular.z'})
    np.testing.assert_array_equal(_row(track(tmp_path / 'a', stream, twist, ('wz', 'vx'))), [6, 1])
    stream = ActionStream(TOPIC, columns={'z': 'position.z', 'qw': 'orientation.w'})
    np.testing.assert_array_equal(_row(track(tmp_path / 'b', stream, pose, ('z', 'qw'))), [3, 7])
    source = track(tmp_path / 'c', ActionStream(TOPIC), twist).sources[TOPIC]
    assert source.problem.startswith(f'{TOPIC} commands none of joint1, joint2, joint3; it has linear.x')


def test_a_message_of_another_length_is_counted_after_a_good_one(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        layout = recorder.make('std_msgs/msg/MultiArrayLayout', dim=[], data_offset=0)
        for stamp, data in ((0, [1.0, 0, 0]), (10, [2.0, 0]), (20, [3.0, 0, 0])):
            message = recorder.make('std_msgs/msg/Float64MultiArray', layout=layout, data=np.array(data))
            recorder.write(TOPIC, message, stamp)

    found = track(tmp_path / 'bag', ActionStream(TOPIC), write)
    assert (found.sources[TOPIC].used, found.sources[TOPIC].dropped['unusable']) == (2, 1)
    assert f'{TOPIC} has 2 values without names' in found.sources[TOPIC].problem
    assert at(found, 15, 25) == [1, 3]


def test_unusable_actions_are_counted(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        recorder.joints(TOPIC, 0, [1, 0, 0])
        recorder.joints(TOPIC, 10, [np.inf, 0, 0])
        recorder.joints(TOPIC, 20, [0, 0])
        recorder.joints(TOPIC, 30, [])
        recorder.joints(TOPIC, 0, [5, 0, 0], log=40)

    found = track(tmp_path / 'bag', ActionStream(TOPIC), write)
    source = found.sources[TOPIC]
    assert (source.used, dict(source.dropped)) == (1, {'unusable': 3, 'out of order': 1})
    assert source.problem == f'{TOPIC} has no values'
    assert at(found, 15) == [1]


@pytest.mark.parametrize('points', [[], [[1, 0]], [[1, 0, 0], [2, 0, 0]]])
def test_invalid_trajectories_are_counted(tmp_path: Path, points: list[list[float]]) -> None:
    found = track(
        tmp_path / 'bag',
        ActionStream(TOPIC),
        lambda recorder: recorder.trajectory(TOPIC, 0, points, (0.1, 0.1)[: len(points)]),
    )
    source = found.sources[TOPIC]
    assert source.dropped['unusable'] == 1 and source.problem


def test_a_clock_set_back_clears_the_actions(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for log, stamp in enumerate((5000, 5100, 0, 100)):
            recorder.joints(TOPIC, stamp, [stamp, 0, 0], log=log * 100)

    found = track(tmp_path / 'bag', ActionStream(TOPIC), write)
    assert at(found, 50, 150, 5050) == [0, 100, None]


def test_observations_have_the_recorded_actions_of_their_chunk(tmp_path: Path) -> None:
    def write(recorder: Recorder) -> None:
        for tick in range(0, 1000, 50):
            recorder.joints('/joint_states', tick, [0, 0, 0])
            recorder.image('/cam', tick)
            if tick < 800:
                # Commands come late, as over a busy network.
                recorder.joints(TOPIC, tick, [tick, 0, 0], log=tick + 120)

    mapping = Mapping(
        {'front': '/cam'},
        (JointStream('/joint_states'),),
        (ActionStream(TOPIC, tolerance_s=0.05),),
        Instruction(text='go'),
    )
    with recording(tmp_path / 'bag') as recorder:
        write(recorder)
    with Bag(tmp_path / 'bag') as bag:
        source = Observations(bag, mapping, replace(SPEC, cameras=('front',)))
        found = list(source)
    targets = {(one.stamp_ns - BEGIN_NS) // MS: one.recorded_action for one in found}
    np.testing.assert_array_equal(targets[100][:, 0], [100, 150, 200, 250])  # type: ignore[index]
    assert targets[600] is not None and targets[800] is None and targets[900] is None
    assert (source.report.observations, source.report.with_action) == (10, 7)


def _row(found: ActionTrack) -> NDArray[np.float32]:
    chunk = found.chunk(BEGIN_NS, 1, MS)
    assert chunk is not None
    return chunk[0]
