# SPDX-License-Identifier: Apache-2.0
"""vla_node on the graph: steps only from complete, fresh, finite inputs; episodes that end well."""

import array
import re
import time

import cv2
import numpy as np
import pytest
import rclpy
from action_msgs.msg import GoalStatus
from aura_ros.msg import GateSample, VlaStep
from diagnostic_msgs.msg import DiagnosticStatus
from fakes import CHUNK_LEN, JOINTS
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from vla_rig import PIXELS, VlaRig

from aura_ros.common.limits import INSTRUCTION_CHARS
from aura_ros.nodes.vla.node import VlaNode
from aura_ros.ros import conversions, qos
from aura_ros.ros.sensor_messages import image_to_msg, joints_to_msg

PERIOD_NS = 200_000_000


@pytest.fixture
def rig(graph):
    return VlaRig(graph)


def test_an_episode_from_the_goal_to_the_result(graph, rig):
    handle = rig.goal(max_steps=3)
    assert handle.accepted
    steps = [rig.step(positions=np.full(len(JOINTS), 0.1 * index)) for index in range(3)]
    found = rig.result(handle)
    assert found.status == GoalStatus.STATUS_SUCCEEDED
    assert found.result.success and found.result.steps == 3
    assert {step.episode_id for step in steps} == {found.result.episode_id}
    assert [step.seq for step in steps] == [0, 1, 2]
    stamps = [conversions.to_ns(step.header.stamp) for step in steps]
    assert min(np.diff(stamps)) >= PERIOD_NS * 0.85
    first = conversions.step_from_msg(steps[2])
    assert first.base_action.shape == (CHUNK_LEN, len(JOINTS))
    np.testing.assert_allclose(first.base_action, 0.21, rtol=1e-5)
    np.testing.assert_allclose(first.features, 0.2, rtol=1e-5)
    assert [message.feedback.seq for message in rig.feedback] == [0, 1, 2]


def test_nothing_is_inferred_without_an_episode(graph, rig):
    for _ in range(3):
        rig.offer(rig.now())
    assert rig.node._backbone.calls == 0


def test_a_second_goal_is_refused_while_one_runs(graph, rig):
    handle = rig.goal()
    assert not rig.goal().accepted
    rig.wait_for_diagnostic('backbone', 'is running: cancel it first')
    rig.step()
    graph.until(handle.cancel_goal_async().done, 'cancelled')
    found = rig.result(handle)
    assert found.status == GoalStatus.STATUS_CANCELED
    assert found.result.success and found.result.steps == 1 and 'cancelled' in found.result.reason
    assert rig.goal(max_steps=1).accepted


def test_a_goal_needs_an_instruction_and_takes_the_latched_one(graph, rig):
    assert not rig.goal('').accepted
    rig.instructions.publish(String(data='from the topic'))
    graph.until(lambda: rig.node._episodes._latched_instruction, 'instruction')
    assert rig.goal('').accepted
    assert rig.node._episodes.current.instruction == 'from the topic'
    rig.instructions.publish(String(data='another'))
    graph.until(lambda: rig.node._episodes.current.instruction == 'another', 'new instruction')


@pytest.mark.parametrize('latched', [True, False], ids=['latched', 'volatile'])
def test_an_instruction_is_taken_once_whatever_its_durability(graph, rig, latched, monkeypatch):
    given = []
    instruct = rig.node._episodes.instruct
    monkeypatch.setattr(rig.node._episodes, 'instruct', lambda text: (given.append(text), instruct(text))[1])
    profile = qos.INSTRUCTION if latched else QoSProfile(depth=10)
    publisher = graph.node.create_publisher(String, 'instruction', profile)
    graph.matched(publisher, 2 if latched else 1)
    texts = [f'task {number}' for number in range(3)]
    for text in texts:
        publisher.publish(String(data=text))
        graph.until(lambda text=text: rig.node._episodes._latched_instruction == text, text)
    graph.spin(0.3)
    assert given == texts
    assert rig.goal('').accepted
    assert rig.node._entities.qos_status().level == DiagnosticStatus.OK


def test_the_instruction_in_force_is_published(graph, rig):
    in_force = graph.listen(String, 'instruction_in_force', qos.INSTRUCTION)
    rig.instructions.publish(String(data='from the topic'))
    graph.until(lambda: rig.node._episodes._latched_instruction, 'instruction')
    handle = rig.goal('of the goal')
    graph.until(lambda: in_force, 'the instruction of the goal')
    rig.instructions.publish(String(data=' of the topic '))
    graph.until(lambda: len(in_force) == 2, 'the instruction of the topic')
    graph.until(handle.cancel_goal_async().done, 'cancelled')
    rig.result(handle)
    rig.goal('')
    graph.until(lambda: len(in_force) == 3, 'the instruction of the second episode')
    assert [message.data for message in in_force] == ['of the goal', 'of the topic', 'of the topic']


def test_a_long_instruction_is_used_whole_up_to_the_limit(graph, rig):
    rig.goal('go')
    for long in (('把红色方块放进碗里🟥 ' * 40).strip(), 'x' * (INSTRUCTION_CHARS + 1)):
        rig.instructions.publish(String(data=long))
        graph.until(lambda long=long: rig.node._episodes.current.instruction == long[:INSTRUCTION_CHARS], 'its text')


def test_the_same_stamp_makes_one_step(graph, rig):
    rig.goal()
    first = rig.step()
    stamp_ns = conversions.to_ns(first.header.stamp)
    for _ in range(3):
        rig.offer(stamp_ns)
    assert len(rig.steps) == 1


def test_a_missing_stream_is_named_and_nothing_is_inferred(graph):
    rig = VlaRig(graph, input_timeout_s=0.2)
    rig.goal()

    def front():
        rig.cameras[0].publish(image_to_msg(PIXELS, rig.now(), ''))
        graph.spin(0.02)

    rig.wait_for_diagnostic('inputs', 'wrist: nothing received', DiagnosticStatus.ERROR, front)
    assert rig.node._backbone.calls == 0


@pytest.mark.parametrize(('offset_s', 'text'), [(-1.0, 'is older'), (60.0, 'has a stamp ahead')], ids=['old', 'ahead'])
def test_stale_and_future_inputs_are_not_used(graph, offset_s, text):
    rig = VlaRig(graph, input_timeout_s=0.3)
    rig.goal()
    rig.wait_for_diagnostic(
        'inputs', f'front {text}', DiagnosticStatus.ERROR, lambda: rig.offer(rig.now() + round(offset_s * 1e9))
    )
    assert rig.node._backbone.calls == 0
    # What was stamped ahead does not block what is stamped right once the sender is mended.
    rig.step()


def test_joints_that_are_not_finite_are_not_used(graph):
    rig = VlaRig(graph, input_timeout_s=0.3)
    rig.goal()
    rig.wait_for_diagnostic(
        'inputs', 'not finite', None, lambda: rig.offer(rig.now(), positions=np.full(len(JOINTS), np.nan))
    )
    assert rig.node._backbone.calls == 0
    rig.step()


@pytest.mark.parametrize(
    ('inputs', 'text'), [({'pixels': np.zeros((128, 128, 3), np.uint8)}, 'black'), ({'encoding': '32FC1'}, '32FC1')]
)
def test_images_that_cannot_be_used_are_named(graph, rig, inputs, text):
    rig.goal()
    rig.wait_for_diagnostic('backbone', text, None, lambda: rig.offer(rig.now(), **inputs))
    assert not rig.steps
    rig.step()


def test_a_backbone_that_gives_nan_publishes_nothing(graph, rig):
    handle = rig.goal('nan please')
    rig.wait_for_diagnostic('backbone', 'not finite', None, lambda: rig.offer(rig.now()))
    assert not rig.steps and rig.node.active
    rig.instructions.publish(String(data='go on'))
    rig.step()
    assert rig.steps[0].seq == 0
    handle.cancel_goal_async()


def test_a_backbone_that_raises_is_retried_with_a_pause(graph, rig):
    rig.goal('raise please')
    began = time.monotonic()
    rig.wait_for_diagnostic('backbone', 'raised on request', None, lambda: rig.offer(rig.now()))

    def third():
        rig.offer(rig.now())
        return rig.node._backoff.failures == 3

    graph.until(third, 'the third failure')
    # 0.1 s and 0.2 s; a busy machine only makes it longer
    assert time.monotonic() - began >= 0.3
    assert rig.node._backbone.calls == 3 and not rig.steps
    rig.instructions.publish(String(data='go on'))
    assert rig.step().seq == 0


def test_the_same_inputs_are_offered_again_after_a_failure(graph):
    rig = VlaRig(graph, max_age_s=30.0)
    rig.goal('once')
    stamp_ns = rig.now()

    def again():
        rig.offer(stamp_ns)
        return rig.steps

    graph.until(again, 'the step of the only stamp there is')
    assert conversions.to_ns(rig.steps[0].header.stamp) == stamp_ns


def test_a_slow_backbone_drops_images_but_no_step(graph, rig):
    rig.goal('wait', max_steps=3)

    def shown(done):
        rig.show(rig.now())
        graph.spin(0.02)
        return done()

    graph.until(lambda: shown(lambda: rig.node._worker.dropped), 'an observation is dropped')
    rig.node._backbone.resume.set()
    graph.until(lambda: shown(lambda: len(rig.steps) == 3), 'three steps')
    assert [step.seq for step in rig.steps] == [0, 1, 2]
    rig.wait_for_diagnostic('backbone', 'dropped')


def test_writes_of_the_memory_are_counted_to_the_last_step(graph, rig):
    handle = rig.goal(max_steps=2)
    for seq in range(2):
        step = rig.step()
        rig.gates.publish(GateSample(episode_id=step.episode_id, seq=seq, written=True))
    found = rig.result(handle).result
    assert found.writes == 2


def test_deactivating_ends_the_episode(graph, rig):
    handle = rig.goal()
    rig.step()
    rig.node.trigger_deactivate()
    found = rig.result(handle)
    assert found.status == GoalStatus.STATUS_ABORTED
    assert not found.result.success and 'deactivated' in found.result.reason
    assert not rig.goal().accepted
    rig.node.trigger_activate()
    assert rig.goal(max_steps=1).accepted
    assert rig.step().seq == 0


def test_the_first_step_waits_for_its_subscribers(graph):
    rig = VlaRig(graph, step_subscribers=2)
    rig.goal()
    for _ in range(3):
        rig.offer(rig.now())
    assert rig.node._backbone.calls == 0
    graph.node.create_subscription(VlaStep, 'vla_step', lambda _: None, qos.step())
    assert rig.step().seq == 0


@pytest.mark.parametrize(
    ('cameras', 'images'),
    [
        ('{front: /cam/compressed, wrist: eye}', {'cam/compressed': CompressedImage, 'eye': Image}),
        ('{front: /cam0, wrist: eye}', {'cam0/compressed': CompressedImage, 'eye': Image}),
        ('', {'camera/front/image_raw/compressed': CompressedImage, 'camera/wrist/image_raw': Image}),
    ],
    ids=['by name', 'by suffix', 'default'],
)
def test_each_camera_may_be_compressed(graph, cameras, images):
    rig = VlaRig(graph, images, cameras=cameras)
    rig.goal()
    data = array.array('B', cv2.imencode('.png', PIXELS)[1].tobytes())

    def again():
        stamp_ns = rig.now()
        for camera in rig.cameras:
            if camera.msg_type is Image:
                camera.publish(image_to_msg(PIXELS, stamp_ns, 'camera'))
                continue
            message = CompressedImage(format='png', data=data)
            message.header.stamp = conversions.to_stamp(stamp_ns)
            camera.publish(message)
        zeros = np.zeros(len(JOINTS))
        rig.joints.publish(joints_to_msg(JOINTS, zeros, zeros, stamp_ns))
        graph.spin(0.1)
        return rig.steps

    graph.until(again, 'a step')
    np.testing.assert_allclose(conversions.step_from_msg(rig.steps[0]).features, 0.2, rtol=1e-5)


@pytest.fixture
def other_process(graph):
    """A node of a participant of its own, because a participant cannot use a topic with two types."""
    context = rclpy.Context()
    rclpy.init(context=context, args=[], domain_id=graph.domain)
    node = Node('driver', context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def test_a_camera_is_compressed_if_its_publisher_is(graph, other_process):
    node = graph.inside(VlaNode, backbone='fakes:ScriptedVla', autostart=True, cameras='{front: cam0, wrist: cam0}')
    assert node.autostart()
    images = other_process.create_publisher(CompressedImage, 'cam0', qos.CAMERA_OUT)
    for _ in range(2):  # the first round switches the type, the second one finds it unchanged
        graph.until(lambda: images.get_subscription_count() == 2, 'both subscriptions')
        node._cameras.match()
    images.publish(CompressedImage(header=image_to_msg(PIXELS, 10**9, 'camera').header, format='png'))
    graph.until(lambda: {'front', 'wrist'} <= node._inputs._arrived.keys(), 'both images')


def test_an_encoding_that_leaves_something_open_is_logged_once(graph, rig, capfd):
    for count in (1, 2):
        for camera, name in zip(rig.cameras, ('front', 'wrist'), strict=True):
            camera.publish(Image(height=1, width=1, encoding='8UC3', step=3, data=bytes(3)))
            graph.until(lambda n=name, c=count: rig.node._inputs.counts.get(f'{n} unstamped') == c, 'the image')
    texts = re.findall(r'camera (\w+): encoding 8UC3 .* is read as bgr8', capfd.readouterr().err)
    assert sorted(texts) == ['front', 'wrist']


def test_raw_images_are_preferred_to_their_compressed_form(graph):
    rig = VlaRig(graph, {'cam0': Image, 'eye': Image}, cameras='{front: cam0, wrist: eye}')
    graph.node.create_publisher(CompressedImage, 'cam0/compressed', qos.CAMERA_OUT)
    graph.until(lambda: rig.node.get_publishers_info_by_topic('cam0/compressed'), 'the compressed publisher')
    rig.node._cameras.match()
    topics = [subscription.topic_name for subscription in rig.node.subscriptions]
    assert '/cam0' in topics and '/cam0/compressed' not in topics


@pytest.mark.parametrize(
    ('cameras', 'words'),
    [
        ('{front: /a, side: /b}', r'each camera of the backbone \(front, wrist\) .* missing: wrist; unknown: side'),
        ('{front: /a}', 'missing: wrist; unknown: none'),
        ('{front: /a b, wrist: /c}', "front: '/a b' is not a topic"),
        ('front', "'front': must be a mapping"),
    ],
)
def test_cameras_that_do_not_fit_the_backbone_are_refused(graph, capfd, cameras, words):
    node = graph.inside(VlaNode, backbone='fakes:ScriptedVla', cameras=cameras)
    assert node.trigger_configure() != TransitionCallbackReturn.SUCCESS
    assert re.search(words, capfd.readouterr().err)


@pytest.mark.fault('F25')
def test_an_episode_that_no_switch_executes_is_no_success(graph, rig, measured):
    rig.executes = False
    handle = rig.goal(max_steps=6)
    for _ in range(6):
        rig.step()
    found = rig.result(handle)
    assert found.status == GoalStatus.STATUS_ABORTED and not found.result.success
    assert found.result.reason.startswith('all 6 steps made; no policy switch executes the steps')
    handle = rig.goal()
    rig.step()
    rig.status('another episode', 5)
    graph.until(lambda: rig.node._episodes.current.execution._reason, 'the status')
    graph.until(handle.cancel_goal_async().done, 'cancelled')
    found = rig.result(handle).result
    assert not found.success and 'executed 0 of 1 steps' in found.reason
    measured('no switch, and a switch that executes another episode: no success, with the reason')


@pytest.mark.fault('F25')
def test_an_episode_whose_steps_the_memory_refuses_is_no_success(graph, rig, measured):
    rig.executes = False
    handle = rig.goal(max_steps=8)
    for seq in range(8):
        step = rig.step()
        rig.status(step.episode_id, seq if seq < 2 else 1, holding=seq >= 2, reason='no chunk of aura')
    found = rig.result(handle).result
    assert not found.success and found.reason == (
        'all 8 steps made; the policy switch executed 2 of 8 steps: no chunk of aura'
    )
    measured(f'a memory that refuses from step 2 on: {found.reason}')
