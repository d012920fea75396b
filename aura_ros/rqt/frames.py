# SPDX-License-Identifier: Apache-2.0
"""The newest camera frames, as they came over the wire, until a write tells which of them matters.

A frame is neither unpacked nor decoded unless the memory wrote at it: watching a camera costs a copy of its bytes.
"""

import struct
from collections import deque
from typing import Any

import cv2
import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage

from aura_ros.common.errors import InputError
from aura_ros.rqt.points import Thumbnail
from aura_ros.vla.images import decode_compressed, decode_image

_FRAMES = 64
_BYTES = 24_000_000
_WANTED = 20
_SLOP_S = 0.06
_SIDE_PX = 160
# Thumbnails: a few writes in a row have one each, of a stream of writes two a second do.
_BURST, _PER_S = 4, 2.0


class Frames:
    """A few seconds of one camera, bounded in number and bytes. One thread.

    Attributes:
        failures: pictures that could not be read [1].
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._frames: deque[tuple[float, type, bytes]] = deque()
        self._bytes = 0
        self._wanted: deque[float] = deque(maxlen=_WANTED)
        self.failures = 0
        # how many may be made as of when
        self._may, self._may_s = float(_BURST), 0.0

    def __len__(self) -> int:
        """Frames held."""
        return len(self._frames)

    def add(self, kind: type, data: bytes) -> None:
        """Keep a frame.

        Args:
            kind: Image or CompressedImage.
            data: the serialised message: four bytes that name the encoding, then the stamp.
        """
        order = '<' if data[1] & 1 else '>'
        sec, nanosec = struct.unpack_from(f'{order}iI', data, 4)
        stamp_s = sec + nanosec * 1e-9
        if self._frames and stamp_s < self._frames[-1][0]:
            self.clear()  # the clock went back
        self._frames.append((stamp_s, kind, data))
        self._bytes += len(data)
        while len(self._frames) > _FRAMES or self._bytes > _BYTES:
            self._bytes -= len(self._frames.popleft()[2])

    def want(self, stamp_s: float) -> None:
        """Ask for the frame of a write."""
        self._wanted.append(stamp_s)

    def found(self) -> list[Thumbnail]:
        """Thumbnails of what was asked for and has come; what can no longer come, or is too much, is forgotten."""
        made = []
        for _ in range(len(self._wanted)):
            stamp_s = self._wanted.popleft()
            frame = min(self._frames, key=lambda frame: abs(frame[0] - stamp_s), default=None)
            if frame is not None and abs(frame[0] - stamp_s) <= _SLOP_S:
                made += self._thumbnail(stamp_s, frame[1], frame[2]) if self._may_make(stamp_s) else []
            elif not self._frames or self._frames[-1][0] < stamp_s:
                self._wanted.append(stamp_s)
        return made

    def clear(self) -> None:
        """Forget all frames."""
        self._frames.clear()
        self._wanted.clear()
        self._may, self._may_s = float(_BURST), 0.0
        self._bytes = 0

    def _may_make(self, stamp_s: float) -> bool:
        self._may = min(_BURST, self._may + _PER_S * max(0.0, stamp_s - self._may_s))
        self._may_s = max(stamp_s, self._may_s)
        if self._may < 1.0:
            return False
        self._may -= 1.0
        return True

    def _thumbnail(self, stamp_s: float, kind: type, data: bytes) -> list[Thumbnail]:
        try:
            rgb = _decode(deserialize_message(data, kind))
        except InputError:  # vla_node reports it; here a picture is missing
            self.failures += 1
            return []
        scale = _SIDE_PX / max(rgb.shape[:2])
        if scale < 1.0:
            size = tuple(max(1, round(side * scale)) for side in rgb.shape[1::-1])
            rgb = np.ascontiguousarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
        return [Thumbnail(stamp_s, rgb)]


def _decode(message: Any) -> np.ndarray:
    if isinstance(message, CompressedImage):
        return decode_compressed(message.data, message.format)
    return decode_image(
        message.data, message.height, message.width, message.encoding, message.step, message.is_bigendian
    )
