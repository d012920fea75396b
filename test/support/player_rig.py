# SPDX-License-Identifier: Apache-2.0
"""A recording, a scripted VLA, a scripted memory and the player."""

import array

import cv2
import numpy as np
from aura_ros.msg import GateSample, VlaStep
from fakes import JOINTS
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState

from aura_ros.nodes.player.messages import serialised
from aura_ros.recordings.message_types import standard_types
from aura_ros.recordings.writer import Recording
from aura_ros.replay.steps.mapping import Instruction, JointStream, Mapping
from aura_ros.ros import qos
from aura_ros.ros.sensor_messages import image_to_msg, joints_to_msg

NS = 10**9
PERIOD_NS = NS // 5
BEGIN_NS = 100 * NS
MAPPING = Mapping(
    {'front': '/left_eye', 'wrist': '/hand'},
    (JointStream('/robot/joints'),),
    (),
    Instruction(text='go on'),
    slop_s=0.03,
)
MAPPING_FILE = """\
cameras: {front: /left_eye, wrist: /hand}
joints: /robot/joints
instruction: {text: go on}
slop_s: 0.03
"""


def pixels(value):
    return np.full((16, 16, 3), value, np.uint8)


def cdr(message):
    """A message of rclpy as bytes; serialize_message of rclpy can add four bytes, which rosbags refuses."""
    return serialised(_native(message))


def _native(message):
    kind = type(message)
    fields = {}
    for name in message.get_fields_and_field_types():
        value = getattr(message, name)
        if hasattr(value, 'get_fields_and_field_types'):
            value = _native(value)
        fields[name] = np.array(value) if isinstance(value, array.array) else value
    return standard_types('kilted').types[f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}'](**fields)


def recorded(path, frames, log_offset_ns=0, names=JOINTS, compressed=False, factor=1.0):
    """A bag of `frames` sets of inputs, the wrist camera and the joints 10 ms behind the front camera."""
    recording = Recording(path, 1 << 24)
    kind = CompressedImage if compressed else Image
    for topic, message in {'/left_eye': Image, '/hand': kind, '/robot/joints': JointState}.items():
        recording.topic(topic, f'sensor_msgs/msg/{message.__name__}')
    for frame in range(frames):
        stamp_ns = BEGIN_NS + frame * PERIOD_NS
        late_ns = stamp_ns + 10_000_000
        hand = image_to_msg(pixels(100 + frame), late_ns, 'hand')
        if compressed:
            data = cv2.imencode('.png', pixels(100 + frame))[1].tobytes()
            hand = CompressedImage(header=hand.header, format='png', data=data)
        joints = joints_to_msg(names, np.full(len(names), 0.01 * frame * factor), np.zeros(len(names)), late_ns)
        eye = image_to_msg(pixels(50), stamp_ns, 'eye')
        recording.put('/left_eye', stamp_ns + log_offset_ns, cdr(eye))
        recording.put('/hand', late_ns + log_offset_ns, cdr(hand))
        recording.put('/robot/joints', late_ns + log_offset_ns + 1, cdr(joints))
    assert recording.close(30.0)
    return path


class PlayerRig:
    """A scripted VLA, a scripted memory and the player."""

    def __init__(self, graph, tmp_path):
        self.graph = graph
        self.steps = graph.listen(VlaStep, 'vla_step', qos.step())
        self.gates = graph.listen(GateSample, 'aura/gate', qos.GATE)
        self.joints = graph.listen(JointState, 'joint_states', qos.JOINT_STATES_OUT)
        self.clocks = graph.listen(Clock, '/clock', qos.CLOCK)
        self.mapping = tmp_path / 'mapping.yaml'
        self.mapping.write_text(MAPPING_FILE)

    def start(self, **vla):
        """Start the nodes."""
        common = {'autostart': True, 'use_sim_time': True}
        self.graph.start('memory_node', memory='fakes:aura', **common)
        # the memory and the test
        self.graph.start(
            'vla_node',
            backbone='fakes:ScriptedVla',
            camera_reliability='reliable',
            step_subscribers=3,
            **{**common, **vla},
        )

    def begin(self, bag, *arguments, **parameters):
        """Start the player and return its process."""
        given = {
            'bag': bag,
            'mapping': self.mapping,
            'backbone': 'fakes:ScriptedVla',
            'policies': '[aura]',
            **parameters,
        }
        return self.graph.start('player', *arguments, **given)

    def play(self, bag, *arguments, **parameters):
        """Play to the end; returns the exit code and the output of the player."""
        process = self.begin(bag, *arguments, **parameters)
        self.graph.until(lambda: process.poll() is not None, 'the end of the player', timeout_s=100.0)
        return process.returncode, self.graph.log('player')
