# SPDX-License-Identifier: Apache-2.0
"""Recordings of several robots: the mapping, the episodes and the instruction are those of one of them."""

from dataclasses import replace
from pathlib import Path

import pytest
from recordings import BEGIN_NS, FRONT, MS, SPEC, STATES, Recorder, recording

from aura_ros.recordings.bags import Bag
from aura_ros.replay.steps.align import Observations
from aura_ros.replay.steps.episodes import EpisodeNames
from aura_ros.replay.steps.guess import guess
from aura_ros.replay.steps.mapping import Instruction, JointStream, Mapping

ONE = replace(SPEC, cameras=('front',))


def two_robots(recorder: Recorder, image: str = '/left/front') -> None:
    """Record two seconds in which two robots begin their episodes at different times."""
    for robot in ('/left', '/right'):
        recorder.text(f'{robot}/instruction_in_force', f'{robot} task', 0)
    for at in range(0, 2000, 50):
        recorder.joints('/left/joint_states', at, [0, 0, 0])
        recorder.joints('/right/joint_states', at, [0, 0, 0])
        recorder.image(image, at)
        for robot, begin in (('/left', 1000), ('/right', 500)):
            if at % 100 == 0:
                recorder.step(f'{robot}/vla_step', at, at + 30, f'{robot} {int(at >= begin)}')


@pytest.mark.parametrize('steps', ['', '/left/vla_step'])
def test_episodes_and_instruction_are_those_of_the_mapped_robot(tmp_path: Path, steps: str) -> None:
    with recording(tmp_path / 'bag') as recorder:
        two_robots(recorder)
    mapping = Mapping(
        {'front': '/left/front'},
        (JointStream('/left/joint_states'),),
        (),
        Instruction(topic='/left/instruction_in_force'),
        steps,
    )
    with Bag(tmp_path / 'bag') as bag:
        assert EpisodeNames(bag, mapping).starts == [(BEGIN_NS, '/left 0'), (BEGIN_NS + 1000 * MS, '/left 1')]
        found = list(Observations(bag, mapping, ONE))
    assert {one.episode for one in found} == {'/left 0', '/left 1'}
    assert {one.observation.instruction for one in found} == {'/left task'}


def test_cameras_in_the_namespace_of_another_robot_are_proposed_when_there_are_no_others(tmp_path: Path) -> None:
    with recording(tmp_path / 'bag') as recorder:
        for at in range(0, 1000, 50):
            recorder.joints('/left/joint_states', at, [0, 0, 0])
            recorder.joints('/left/joint_states', at + 25, [0, 0, 0])
            recorder.joints('/right/joint_states', at, [0, 0, 0])
            recorder.image('/right/front', at)
    with Bag(tmp_path / 'bag') as bag:
        found = guess(bag, ONE)
    assert found.mapping.joints == (JointStream('/left/joint_states'),)
    assert found.mapping.cameras == {'front': '/right/front'}
    assert 'cameras: all are in the namespaces of other robots; check that they show this robot' in found.notes


def test_one_robot_keeps_its_steps_in_any_namespace(tmp_path: Path) -> None:
    with recording(tmp_path / 'bag') as recorder:
        recorder.joints(STATES, 0, [0, 0, 0])
        recorder.step('/aura/vla_step', 0, 30, 'a')
    with Bag(tmp_path / 'bag') as bag:
        assert EpisodeNames(bag, Mapping({'front': FRONT}, (JointStream(STATES),))).starts == [(BEGIN_NS, 'a')]
