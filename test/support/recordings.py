# SPDX-License-Identifier: Apache-2.0
"""Small recordings of a robot with two cameras, written with rosbags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from aura_ros.recordings.message_types import standard_types
from aura_ros.recordings.old_names import ADDED_FIELDS
from aura_ros.vla.protocol import BackboneSpec

MS = 1_000_000
BEGIN_NS = 1_700_000_000 * 1000 * MS
JOINTS = ('joint1', 'joint2', 'joint3')
SPEC = BackboneSpec(
    name='test',
    cameras=('front', 'wrist'),
    image_size=(8, 8),
    joint_names=JOINTS,
    feature_dim=4,
    chunk_size=4,
    action_dim=3,
    n_action_steps=2,
    seconds_per_action=0.05,
    backbone_hash='ab' * 32,
)
FRONT, WRIST = '/camera/front/image_raw', '/camera/wrist/image_raw/compressed'
STATES, COMMANDS, INSTRUCTION = '/joint_states', '/arm_controller/joint_trajectory', '/instruction'


@dataclass
class Recorder:
    """Writes messages of standard types and of this package; times are in ms after BEGIN_NS."""

    writer: Writer
    distribution: str = 'kilted'
    topics: dict[str, Connection] = field(default_factory=dict)

    def make(self, type_name: str, /, **fields: Any) -> Any:
        """Return a message of a type such as sensor_msgs/msg/Image; the field `stamp` in ms becomes its header."""
        types = standard_types(self.distribution).types
        if 'stamp' in fields:
            at_ns = BEGIN_NS + round(fields.pop('stamp') * MS)
            stamp = types['builtin_interfaces/msg/Time'](sec=at_ns // 10**9, nanosec=at_ns % 10**9)
            fields['header'] = types['std_msgs/msg/Header'](stamp=stamp, frame_id='base_link')
        added = {name: [] for name in ADDED_FIELDS.get(type_name, ())}
        return types[type_name](**{**added, **fields})

    def raw(self, topic: str, type_name: str, data: bytes, log: float) -> None:
        """Write serialised bytes."""
        if topic not in self.topics:
            self.topics[topic] = self.writer.add_connection(
                topic, type_name, typestore=standard_types(self.distribution)
            )
        self.writer.write(self.topics[topic], BEGIN_NS + round(log * MS), data)

    def write(self, topic: str, message: Any, log: float) -> None:
        """Write a message that arrived at `log`."""
        name = message.__msgtype__
        self.raw(topic, name, standard_types(self.distribution).serialize_cdr(message, name), log)

    def image(self, topic: str, stamp: float, log: float | None = None, level: int = 100) -> None:
        """Write a grey picture of 8 x 8 pixels; JPEG on a compressed topic."""
        pixels = np.full((8, 8, 3), level, np.uint8)
        if topic.endswith('compressed'):
            data = cv2.imencode('.jpg', pixels)[1].ravel()
            message = self.make('sensor_msgs/msg/CompressedImage', stamp=stamp, format='jpeg', data=data)
        else:
            message = self.make(
                'sensor_msgs/msg/Image',
                stamp=stamp,
                height=8,
                width=8,
                encoding='rgb8',
                is_bigendian=0,
                step=24,
                data=pixels.ravel(),
            )
        self.write(topic, message, stamp if log is None else log)

    def joints(self, topic: str, stamp: float, positions: Any, names: Any = JOINTS, log: float | None = None) -> None:
        """Write a JointState."""
        none = np.zeros(0)
        message = self.make(
            'sensor_msgs/msg/JointState',
            stamp=stamp,
            name=list(names),
            position=np.asarray(positions, np.float64),
            velocity=none,
            effort=none,
        )
        self.write(topic, message, stamp if log is None else log)

    def trajectory(self, topic: str, stamp: float, rows: Any, at_s: Any = (0.05,), names: Any = JOINTS) -> None:
        """Write a JointTrajectory with a point for each row."""
        none = np.zeros(0)
        points = []
        for row, at in zip(rows, at_s, strict=True):
            duration = self.make('builtin_interfaces/msg/Duration', sec=int(at), nanosec=round(at % 1 * 1e9))
            points.append(
                self.make(
                    'trajectory_msgs/msg/JointTrajectoryPoint',
                    positions=np.asarray(row, np.float64),
                    velocities=none,
                    accelerations=none,
                    effort=none,
                    time_from_start=duration,
                )
            )
        message = self.make('trajectory_msgs/msg/JointTrajectory', stamp=stamp, joint_names=list(names), points=points)
        self.write(topic, message, stamp)

    def step(self, topic: str, stamp: float, log: float, episode: str = 'e', seq: int = 0) -> None:
        """Write a VlaStep without features."""
        none = np.zeros(0, np.float32)
        message = self.make(
            'aura_ros/msg/VlaStep',
            stamp=stamp,
            episode_id=episode,
            backbone_hash='h',
            seq=seq,
            features=none,
            base_action=none,
            chunk_size=0,
            action_dim=0,
            seconds_per_action=0.05,
            inference_ms=1.0,
        )
        self.write(topic, message, log)

    def text(self, topic: str, text: str, log: float) -> None:
        """Write a String."""
        self.write(topic, self.make('std_msgs/msg/String', data=text), log)


@contextmanager
def recording(
    folder: Path,
    *,
    storage: str = 'mcap',
    compression: str = '',
    distribution: str = 'kilted',
    version: int = 9,
    **custom: str,
) -> Iterator[Recorder]:
    """Record into a new folder; `compression` by 'file', 'message' or (MCAP) 'storage'."""
    plugin = StoragePlugin.MCAP if storage == 'mcap' else StoragePlugin.SQLITE3
    writer = Writer(folder, version=version, storage_plugin=plugin)
    if compression:
        writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    with writer:
        for key, value in custom.items():
            writer.set_custom_data(key, value)
        yield Recorder(writer, distribution)


def record_robot(recorder: Recorder, seconds: float = 2.0, instruction: str = 'put it back') -> None:
    """Record cameras and commands at 20 Hz and joints at 100 Hz; the position of joint i at time t is i + t."""
    if instruction:
        recorder.text(INSTRUCTION, instruction, 0.0)
    for tick in range(round(seconds * 100)):
        at = tick * 10.0
        recorder.joints(STATES, at, [joint + at * 1e-3 for joint in range(3)])
        if tick % 5 == 0:
            recorder.image(FRONT, at + 1, level=20 + tick % 200)
            recorder.image(WRIST, at + 2)
            recorder.trajectory(COMMANDS, at + 3, [[joint + at * 1e-3 for joint in range(3)]])


def robot_bag(folder: Path, **options: Any) -> Path:
    """Record a robot for two seconds; `recording` describes the options."""
    with recording(folder, **options) as recorder:
        record_robot(recorder)
    return folder
