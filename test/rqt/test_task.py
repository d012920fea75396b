# SPDX-License-Identifier: Apache-2.0
"""What the robot has to do and sees: instruction, rounds, episodes, camera, and the counts of the policy switch."""

import numpy as np
import pytest

pytest.importorskip('pyqtgraph')
pytest.importorskip('pytestqt')
from aura_ros.msg import TaskEvent
from monitor_stage import Stage
from monitor_story import BEGIN_S
from std_msgs.msg import String

from aura_ros.common.names import EventKind
from aura_ros.ros.conversions import to_stamp
from aura_ros.rqt import translate
from aura_ros.rqt.points import CameraPoint, InstructionPoint, TaskPoint
from aura_ros.rqt.rounds import Rounds, rounds


@pytest.fixture
def stage(qtbot, monkeypatch):
    return Stage(qtbot, monkeypatch)


def event(number, kind, stamp_s=1.0):
    return TaskPoint(stamp_s, kind, 'recall', number, 'red')


def test_rounds_are_counted_from_the_begin_of_the_newest_episode():
    earlier = [event(number, EventKind.ROUND_SUCCESS) for number in range(5)]
    newest = [event(0, EventKind.CUE), event(0, EventKind.ROUND_SUCCESS), event(1, EventKind.ROUND_FAILURE)]
    assert rounds([*earlier, *newest, event(2, EventKind.GO)]) == Rounds('recall', 3, 1, 2)
    assert rounds([]) is None


def test_messages_become_points():
    message = TaskEvent(kind=5, task='recall', round=3, colour='red')
    message.header.stamp = to_stamp(2_500_000_000)
    assert translate.task(message) == TaskPoint(2.5, EventKind.ROUND_SUCCESS, 'recall', 3, 'red')
    assert len(translate.instruction(String(data='x' * 100_000)).text) <= 1000


def test_instruction_rounds_episodes_and_counts_are_on_the_page(stage):
    stage.receive_story()
    header = stage.monitor.header
    assert header.instruction.text() == 'Instruction: touch the block that the beacon showed'
    assert header.rounds.text() == 'round 12 of recall: 11 of 11 solved · 1 episode begun'
    assert header.counts.text() == '15,527 commands clipped · 0 chunks refused · 1 hold'


def test_a_past_moment_has_its_own_instruction_and_rounds(stage):
    stage.receive_story()
    stage.receive([InstructionPoint('touch the red block'), TaskPoint(BEGIN_S + 171.0, 6, 'recall', 11, 'red')])
    monitor = stage.monitor
    stage.settle()
    assert monitor.header.instruction.text() == 'Instruction: touch the red block'
    assert '11 of 12 solved' in monitor.header.rounds.text()
    monitor.look_at(BEGIN_S + 100.0)
    stage.settle()
    assert monitor.header.instruction.text() == 'Instruction: touch the block that the beacon showed'
    assert '11 of 12' not in monitor.header.rounds.text()
    assert monitor.header.counts.text() == '', 'they are counts of the present'


def test_two_events_of_one_moment_are_both_counted(stage):
    stage.receive([event(0, EventKind.ROUND_SUCCESS), event(1, EventKind.CUE)])
    assert stage.monitor.model.rounds() == Rounds('recall', 2, 1, 1)


def test_the_camera_shows_the_newest_image_and_its_time(stage):
    stage.receive_story(5.0)
    camera = stage.monitor.camera
    assert camera.caption.text() == '14:13:24' and not camera.property('dimmed')
    stage.receive([CameraPoint(BEGIN_S + 6.0, np.full((60, 80, 3), (250, 0, 0), np.uint8))])
    stage.settle()
    shown = camera.image.pixmap().toImage()
    assert shown.pixelColor(shown.width() // 2, shown.height() // 2).red() == 250
    stage.receive(after_s=2.5)
    stage.settle()
    assert camera.caption.text() == 'last 14:13:26' and camera.property('dimmed')


def test_the_camera_shows_no_image_of_another_moment(stage):
    stage.receive_story(20.0)
    stage.monitor.look_at(BEGIN_S + 5.0)
    stage.settle()
    assert stage.monitor.camera.image.text() == 'The image of this moment was not kept.'


def test_without_instruction_task_and_camera_the_page_says_so(stage):
    stage.settle()
    header = stage.monitor.header
    assert (header.instruction.text(), header.rounds.text(), header.counts.text()) == (
        'no instruction received',
        '',
        '',
    )
    assert stage.monitor.camera.image.text() == 'no image received'
