# SPDX-License-Identifier: Apache-2.0
"""The newest camera frames in serialised form, for the thumbnails of the writes and the live picture.

Only frames at which the memory wrote, and two others a second, are deserialised and decoded. Any other frame costs a
copy of its bytes.
"""

import math
import struct
from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image

from aura_ros.common.errors import InputError
from aura_ros.rqt.points import CameraPoint, Thumbnail
from aura_ros.vla.images import decode_message

ImageType = type[Image] | type[CompressedImage]

# Bytes up to the end of the stamp.
_HEADER = 12
_MAX_FRAMES = 64
_MAX_BYTES = 24_000_000
_MAX_REQUESTS = 20
_TOLERANCE_S = 0.06
_SIDE_PX, _LIVE_SIDE_PX = 160, 480
# Period of the live picture [s].
_LIVE_S = 0.5
# Token bucket of the thumbnails: four writes in a row have one each, a stream of writes has two a second.
_BURST, _PER_S = 4, 2.0


class FrameBuffer:
    """A few seconds of one camera, bounded in number and bytes. One thread."""

    def __init__(self) -> None:
        self._frames: deque[tuple[float, ImageType, bytes]] = deque()
        self._bytes = 0
        self._requests: deque[float] = deque(maxlen=_MAX_REQUESTS)
        self.failures = 0
        """Images that could not be decoded [1]."""
        self._tokens, self._tokens_at_s = float(_BURST), 0.0
        self._live_s = -math.inf

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._frames)

    def add(self, kind: ImageType, data: bytes) -> None:
        """Store a frame.

        Args:
            kind: type of the message.
            data: the serialised message: four bytes that name the encoding, then the stamp.
        """
        if len(data) < _HEADER:
            self.failures += 1
            return
        order = '<' if data[1] & 1 else '>'
        sec, nanosec = struct.unpack_from(f'{order}iI', data, 4)
        stamp_s = sec + nanosec * 1e-9
        if self._frames and stamp_s < self._frames[-1][0]:
            self.clear()  # the clock went back
        self._frames.append((stamp_s, kind, data))
        self._bytes += len(data)
        while len(self._frames) > _MAX_FRAMES or self._bytes > _MAX_BYTES:
            self._bytes -= len(self._frames.popleft()[2])

    def request(self, stamp_s: float) -> None:
        """Request the frame of a write at `stamp_s`."""
        self._requests.append(stamp_s)

    def thumbnails(self) -> list[Thumbnail]:
        """Return thumbnails of the requested frames that are here; drop requests that are too late or too many."""
        made = []
        for _ in range(len(self._requests)):
            stamp_s = self._requests.popleft()
            frame = min(self._frames, key=lambda frame: abs(frame[0] - stamp_s), default=None)
            if frame is not None and abs(frame[0] - stamp_s) <= _TOLERANCE_S:
                made += self._thumbnail(stamp_s, frame[1], frame[2]) if self._take_token(stamp_s) else []
            elif not self._frames or self._frames[-1][0] < stamp_s:
                self._requests.append(stamp_s)
        return made

    def clear(self) -> None:
        """Drop all frames and requests."""
        self._frames.clear()
        self._requests.clear()
        self._tokens, self._tokens_at_s = float(_BURST), 0.0
        self._bytes = 0

    def _take_token(self, stamp_s: float) -> bool:
        self._tokens = min(_BURST, self._tokens + _PER_S * max(0.0, stamp_s - self._tokens_at_s))
        self._tokens_at_s = max(stamp_s, self._tokens_at_s)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def newest(self, now_s: float) -> list[CameraPoint]:
        """Return the newest frame, at most twice a second; `now_s` is time on a steady clock [s]."""
        if not self._frames or now_s - self._live_s < _LIVE_S:
            return []
        self._live_s = now_s
        stamp_s, kind, data = self._frames[-1]
        return [CameraPoint(stamp_s, rgb) for rgb in self._decoded(kind, data, _LIVE_SIDE_PX)]

    def _thumbnail(self, stamp_s: float, kind: ImageType, data: bytes) -> list[Thumbnail]:
        return [Thumbnail(stamp_s, rgb) for rgb in self._decoded(kind, data, _SIDE_PX)]

    def _decoded(self, kind: ImageType, data: bytes, side_px: int) -> list[NDArray[np.uint8]]:
        """Return the image, at most `side_px` wide and high; nothing if it cannot be decoded."""
        try:
            rgb = decode_message(deserialize_message(data, kind))
        except (InputError, RuntimeError):  # vla_node reports it; here only a thumbnail is missing
            self.failures += 1
            return []
        scale = side_px / max(rgb.shape[:2])
        if scale < 1.0:
            height, width = (max(1, round(side * scale)) for side in rgb.shape[:2])
            rgb = np.ascontiguousarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA))
        return [rgb]
