# SPDX-License-Identifier: Apache-2.0
"""The frames of one episode from a video file, found by their number and not by their time."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from aura_ros.common.limits import EPISODE_FRAMES
from aura_ros.recordings.lerobot_index import Clip

# The video library opens files only, and no format that names other files, such as a playlist.
_LOCAL = {'protocol_whitelist': 'file', 'format_whitelist': 'mov,mp4,matroska,webm,avi'}


@dataclass(frozen=True, eq=False)
class VideoFile:
    """The times of all frames that a video file shows."""

    path: Path
    ticks: NDArray[np.int64]
    """Time of each frame, increasing, int64 [N] [time base of the stream]."""
    tick_s: float
    """Length of a tick [s]."""


def read_times(path: Path) -> VideoFile:
    """Read a video file without decoding it. The times end at the first damaged part."""
    ticks: list[int] = []
    tick_s = 0.0
    try:
        with av.open(f'file:{path}', options=_LOCAL) as container:
            stream = container.streams.video[0]
            tick_s = float(stream.time_base or 0)
            for packet in islice(container.demux(stream), EPISODE_FRAMES):
                at = packet.dts if packet.pts is None else packet.pts  # AVI has no pts
                if at is not None and not packet.is_discard:
                    ticks.append(at)
    except (av.FFmpegError, IndexError):
        pass  # the caller reports that there are fewer frames than in the table
    return VideoFile(path, np.unique(np.asarray(ticks, np.int64)), tick_s)


def first_frame(video: VideoFile, clip: Clip, fps: float) -> tuple[int, str]:
    """Return the number of an episode's first frame in its file, and what contradicts it, '' if nothing does.

    The frames before it are counted. Their times may have drifted, because a dataset sums the durations of its
    episodes. Only if the file does not have the frames of its episodes, the time that the dataset gives decides.

    Args:
        video: the file of the clip.
        clip: the part of the file.
        fps: frames per second of the dataset [Hz].
    """
    count = len(video.ticks)
    if not count or clip.from_s is None:
        return clip.first, f'has {count} frames for {clip.frames} rows' if count > clip.frames else ''
    times_s = video.ticks * video.tick_s
    if count != clip.frames:
        beyond = clip.from_s > times_s[-1] + 0.5 / fps
        return count if beyond else int(np.abs(times_s - clip.from_s).argmin()), (
            f'has {count} frames, but its episodes have {clip.frames}: from_timestamp decides where they begin'
        )
    at_s = float(times_s[clip.first]) if clip.first < count else clip.from_s
    if abs(at_s - clip.from_s) <= 0.5 / fps:
        return clip.first, ''
    return clip.first, (
        f'has frame {clip.first}, where the episode begins, at {at_s:.3f} s, but from_timestamp is '
        f'{clip.from_s:.3f} s: the frames are counted'
    )


def read_frames(video: VideoFile, first: int) -> Iterator[NDArray[np.uint8] | None]:
    """Yield the frames of a file from number `first` on, RGB uint8 [H, W, 3]; None for one that cannot be decoded.

    The end of the file and the first damaged part end the frames.
    """
    if first >= len(video.ticks):
        return
    expected = first
    try:
        with av.open(f'file:{video.path}', options=_LOCAL) as container:
            stream = container.streams.video[0]
            if first:
                container.seek(int(video.ticks[first]), stream=stream)
            for frame in container.decode(stream):
                number = expected if frame.pts is None else int(np.searchsorted(video.ticks, frame.pts))
                if number < expected:
                    continue  # a seek ends at an earlier key frame
                for _ in range(expected, number):
                    yield None
                yield np.asarray(frame.to_ndarray(format='rgb24'), np.uint8)
                expected = number + 1
    except av.FFmpegError:
        return  # the caller reports that there are fewer frames than in the table
