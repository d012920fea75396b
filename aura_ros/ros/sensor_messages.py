# SPDX-License-Identifier: Apache-2.0
"""Messages of the embedded robot: images, joint states and task events."""

import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image, JointState

from aura_ros.msg import TaskEvent
from aura_ros.ros.conversions import Floats, float64s, to_stamp

if TYPE_CHECKING:
    from aura_ros.sim import Event  # needs MuJoCo


def image_to_msg(pixels: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Image:
    """Return an RGB image, uint8 [H, W, 3]."""
    message = Image()
    message.header.stamp = to_stamp(stamp_ns)
    message.header.frame_id = frame_id
    message.height, message.width = int(pixels.shape[0]), int(pixels.shape[1])
    message.encoding = 'rgb8'
    message.step = message.width * 3
    # array.array makes the conversion a hundred times faster than the numpy array itself.
    message.data = array.array('B', np.ascontiguousarray(pixels).tobytes())
    return message


def joints_to_msg(names: Sequence[str], positions: Floats, velocities: Floats, stamp_ns: int) -> JointState:
    """Return measured joints, [J] [rad, m] and [rad/s, m/s]."""
    message = JointState(name=list(names))
    message.header.stamp = to_stamp(stamp_ns)
    message.position = float64s(positions)
    message.velocity = float64s(velocities)
    return message


def event_to_msg(event: 'Event', stamp_ns: int) -> TaskEvent:
    """Return an event of the simulation; `stamp_ns` is its time on the ROS clock."""
    message = TaskEvent()
    message.header.stamp = to_stamp(stamp_ns)
    message.kind = int(event.kind)
    message.task = str(event.task)
    message.round = int(event.round)
    message.colour = str(event.colour)
    message.last = bool(event.last)
    return message
