# SPDX-License-Identifier: Apache-2.0
"""LeRobot datasets (v2.0, v2.1 and v3) as recordings.

Each feature is a topic of the same name: vectors are JointStates with the names of the dataset, videos are Images, and
embedded images are CompressedImages. The task is a String on the topic `task`, at the first frame of an episode and at
each change. Frame i of an episode is at i / fps. The first episode begins at second 1, and a pause of a second
separates two episodes. Messages of one frame have the order in which the topics are requested.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from aura_ros.common.errors import BagError
from aura_ros.common.limits import RECORDING_NS
from aura_ros.recordings.lerobot_index import Clip, EpisodeFiles, Feature, read_index, read_table
from aura_ros.recordings.message_types import standard_types
from aura_ros.recordings.type_names import COMPRESSED_IMAGE, IMAGE, JOINT_STATE, STRING
from aura_ros.recordings.types import Episode, Topic

TASK = 'task'
_NS = 1_000_000_000
_GAP_NS = _NS
# The video library opens files only, and no format that names other files, such as a playlist.
_LOCAL = {'protocol_whitelist': 'file', 'format_whitelist': 'mov,mp4,matroska,webm,avi'}


class Dataset:
    """A LeRobot dataset; a `Source`."""

    def __init__(self, path: Path) -> None:
        """Read the index. Episodes with missing files are skipped.

        Raises:
            BagError: the index is damaged, or no episode has all of its files.
        """
        self._index = read_index(path)
        self._features = {feature.name: feature for feature in self._index.features}
        lost: list[str] = []
        self._episodes = [episode for episode in self._index.episodes if _is_complete(episode, lost)]
        if not self._episodes:
            raise BagError(
                f'{path} has no complete episode: {"; ".join(lost[:3]) or "the index is empty"}; download its files'
            )
        count = len(self._index.episodes)
        self._lost = [f'{len(lost)} of {count} episodes are missing ({lost[0]}, ...)'] if lost else []
        spans, at_ns = [], _NS
        for episode in self._episodes:
            length_ns = round(episode.length / self._index.fps * _NS)
            if at_ns + length_ns > RECORDING_NS:
                raise BagError(f'{path} is longer than {RECORDING_NS // _NS} s, the limit of a stamp')
            spans.append(Episode(f'episode_{episode.number:06d}', at_ns, at_ns + length_ns))
            at_ns += length_ns + _GAP_NS
        self.episodes = tuple(spans)
        frames = sum(episode.length for episode in self._episodes)
        self.topics = (
            *(Topic(feature.name, _type(feature), frames) for feature in self._index.features),
            Topic(TASK, STRING, len(self._episodes)),
        )
        facts = self._index.facts.items()
        self.metadata: Mapping[str, str] = {key: str(value) for key, value in facts if key != 'features'}
        tables = dict.fromkeys(episode.data for episode in self._episodes)
        videos = dict.fromkeys(clip.path for episode in self._episodes for clip in episode.clips.values())
        meta = sorted(file for file in (path / 'meta').rglob('*.*') if file.is_file())
        self.files = (*meta, *tables, *videos)
        self._types = standard_types('kilted').types

    @property
    def partial(self) -> str:
        """What is missing of the dataset, or ''."""
        return '; '.join(self._lost)

    def messages(self, topics: Collection[str], begin_ns: int, end_ns: int) -> Iterator[tuple[str, int, Any]]:
        """Yield (topic, log_ns, message) in order of time, and within a frame in the order of `topics`."""
        for episode, span in zip(self._episodes, self.episodes, strict=True):
            if span.begin_ns < end_ns and span.end_ns > begin_ns:
                yield from self._frames(episode, span, list(topics), begin_ns, end_ns)

    def close(self) -> None:
        """Do nothing, because no file stays open."""

    def _frames(
        self, episode: EpisodeFiles, span: Episode, topics: list[str], begin_ns: int, end_ns: int
    ) -> Iterator[tuple[str, int, Any]]:
        period = _NS / self._index.fps
        times = range(episode.length)
        first = bisect_left(times, begin_ns, key=lambda number: span.begin_ns + round(number * period))
        table = self._table(episode, span, topics)
        videos = {
            name: _frames(episode.clips[name], first, self._index.fps)
            for name in topics
            if name != TASK and self._features[name].video
        }
        last_task = None
        for number in range(first, episode.length):
            at_ns = span.begin_ns + round(number * period)
            if at_ns >= end_ns:
                return
            for name in topics:
                if name == TASK:
                    task = self._task(episode, table, number)
                    if task is not None and task != last_task:
                        yield name, at_ns, self._types[STRING](data=task)
                    last_task = task
                elif name in videos:
                    pixels = next(videos[name], None)
                    if pixels is None:
                        self._note(f'{span.name}: the video {name} has fewer frames than the table')
                    else:
                        yield name, at_ns, self._image_message(pixels, at_ns)
                elif number < len(table[name]):
                    yield name, at_ns, self._table_message(self._features[name], table[name][number], at_ns)

    def _table(self, episode: EpisodeFiles, span: Episode, topics: list[str]) -> dict[str, Any]:
        """The columns of one episode by name, without the videos."""
        wanted = [name for name in topics if name != TASK and not self._features[name].video]
        try:
            there = set(parquet.read_schema(episode.data).names)
            columns = [name for name in (*wanted, 'task_index') if name in there]
            rows = read_table(episode.data, columns, episode.number)
        except (OSError, arrow.ArrowException) as error:
            raise BagError(f'{episode.data} is damaged ({error}): download it again') from error
        if missing := [name for name in wanted if name not in there]:
            raise BagError(f'{episode.data} has no column {", ".join(missing)}, but meta/info.json lists it')
        if rows.num_rows < episode.length:
            self._note(f'{span.name}: the table has {rows.num_rows} of {episode.length} frames')
        return {name: rows.column(name).to_pylist() for name in columns}

    def _task(self, episode: EpisodeFiles, table: dict[str, Any], number: int) -> str | None:
        rows = table.get('task_index') or ()
        found = self._index.tasks.get(rows[number]) if number < len(rows) else None
        return found if found is not None else next(iter(episode.tasks), None)

    def _note(self, text: str) -> None:
        if text not in self._lost:
            self._lost.append(text)

    def _header(self, at_ns: int) -> Any:
        stamp = self._types['builtin_interfaces/msg/Time'](sec=at_ns // _NS, nanosec=at_ns % _NS)
        return self._types['std_msgs/msg/Header'](stamp=stamp, frame_id='')

    def _image_message(self, pixels: NDArray[np.uint8], at_ns: int) -> Any:
        height, width, _ = pixels.shape
        return self._types[IMAGE](
            header=self._header(at_ns),
            height=height,
            width=width,
            encoding='rgb8',
            is_bigendian=0,
            step=3 * width,
            data=pixels.reshape(-1),
        )

    def _table_message(self, feature: Feature, value: Any, at_ns: int) -> Any:
        if feature.image:
            data = np.frombuffer(value['bytes'] or b'', np.uint8)
            return self._types[COMPRESSED_IMAGE](header=self._header(at_ns), format='', data=data)
        none = np.zeros(0)
        position = np.array(value, np.float64, ndmin=1)
        return self._types[JOINT_STATE](
            header=self._header(at_ns), name=list(feature.columns), position=position, velocity=none, effort=none
        )


def _type(feature: Feature) -> str:
    return IMAGE if feature.video else COMPRESSED_IMAGE if feature.image else JOINT_STATE


def _is_complete(episode: EpisodeFiles, lost: list[str]) -> bool:
    """Whether all files of an episode exist; adds the first missing one to `lost`."""
    for path in (episode.data, *(clip.path for clip in episode.clips.values())):
        if not path.is_file() or not path.stat().st_size:
            lost.append(f'{path.name} of episode {episode.number} is missing')
            return False
    return True


def _frames(clip: Clip, first: int, fps: float) -> Iterator[NDArray[np.uint8]]:
    """Frames of an episode from frame `first` on, RGB uint8 [H, W, 3], to the end or the first damaged frame."""
    from_s = clip.from_s + first / fps
    try:
        with av.open(f'file:{clip.path}', options=_LOCAL) as container:
            stream = container.streams.video[0]
            if from_s > 0.0 and stream.time_base is not None:
                container.seek(int(from_s / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                # A seek ends at an earlier key frame. Times are rounded, hence half a frame of slack.
                if frame.time is not None and frame.time >= from_s - 0.5 / fps:
                    yield np.asarray(frame.to_ndarray(format='rgb24'), np.uint8)
    except av.FFmpegError:
        return  # the caller reports that there are fewer frames than in the table
