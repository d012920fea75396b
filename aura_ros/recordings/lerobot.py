# SPDX-License-Identifier: Apache-2.0
"""LeRobot datasets (v2.0, v2.1 and v3) as recordings.

Each feature is a topic of the same name: vectors are JointStates with the names of the dataset, videos are Images, and
embedded images are CompressedImages. The task is a String on the topic `task`, at the first frame of an episode and at
each change. Frame i of an episode is at i / fps. The first episode begins at second 1, and a pause of a second
separates two episodes. Messages of one frame have the order in which the topics are requested.

What contradicts this is in `notes`: features that are not read, timestamps that are not i / fps, and videos whose
frames are not where the dataset says.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from aura_ros.common.errors import BagError
from aura_ros.common.limits import RECORDING_NS
from aura_ros.recordings.lerobot_features import Feature
from aura_ros.recordings.lerobot_index import Clip, EpisodeFiles, read_index, read_table
from aura_ros.recordings.lerobot_video import VideoFile, first_frame, read_frames, read_times
from aura_ros.recordings.lfs import pointer_problem
from aura_ros.recordings.message_types import standard_types
from aura_ros.recordings.type_names import COMPRESSED_IMAGE, IMAGE, JOINT_STATE, STRING
from aura_ros.recordings.types import Episode, Topic

TASK = 'task'
_NS = 1_000_000_000
_GAP_NS = _NS


@dataclass
class _Contradictions:
    """Contradictions between the index of a dataset and its files."""

    unread: Mapping[str, str]
    """Why a feature is not read, by its name."""
    irregular: dict[str, float] = field(default_factory=dict)
    """Largest difference of a timestamp from i / fps [s], by episode."""
    displaced: dict[str, dict[str, str]] = field(default_factory=dict)
    """Why the frames of an episode are not where the dataset says, by feature and episode."""

    def texts(self, episodes: int, fps: float) -> tuple[str, ...]:
        """Return sentences for a dataset of so many episodes."""
        found = [f'{name} is not read: {why}' for name, why in self.unread.items()]
        for name, problems in self.displaced.items():
            first, problem = next(iter(problems.items()))
            more = f'; {len(problems) - 1} more episodes are alike' if len(problems) > 1 else ''
            found.append(f'{first}: the video {name} {problem}{more}')
        if self.irregular:
            found.append(
                f'the column timestamp differs from frame / fps by up to {max(self.irregular.values()):.3g} s in '
                f'{len(self.irregular)} of {episodes} episodes: frame i of an episode is taken at i / {fps:g} s'
            )
        return tuple(found)


class Dataset:
    """A LeRobot dataset; a `Source`."""

    def __init__(self, path: Path) -> None:
        """Read the index. Episodes with missing files are skipped.

        Raises:
            BagError: the index is damaged, or no episode has all of its files.
        """
        self._index = read_index(path)
        lost: list[str] = []
        self._episodes = [episode for episode in self._index.episodes if _is_complete(episode, lost)]
        if not self._episodes:
            why = '; '.join(lost[:3]) or 'the index is empty'
            raise BagError(f'{path} has no complete episode: {why}{"" if "git lfs" in why else "; download its files"}')
        count = len(self._index.episodes)
        self._lost = [f'{len(lost)} of {count} episodes are missing ({lost[0]}, ...)'] if lost else []
        absent = _absent(self._index.features, self._episodes[0].data)
        self._features = {one.name: one for one in self._index.features if one.name not in absent}
        self._contradictions = _Contradictions({**self._index.unread, **absent})
        self._videos: dict[str, VideoFile] = {}
        """Latest video file of each feature."""
        self.episodes = tuple(_spans(path, self._episodes, self._index.fps))
        frames = sum(episode.length for episode in self._episodes)
        self.topics = (
            *(Topic(feature.name, _type(feature), frames) for feature in self._features.values()),
            Topic(TASK, STRING, len(self._episodes) if self._has_tasks else 0),
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

    @property
    def notes(self) -> tuple[str, ...]:
        """Features that are not read, and contradictions in the episodes that were read."""
        return self._contradictions.texts(len(self.episodes), self._index.fps)

    def messages(self, topics: Collection[str], begin_ns: int, end_ns: int) -> Iterator[tuple[str, int, Any]]:
        """Yield (topic, log_ns, message) in order of time, and within a frame in the order of `topics`."""
        for episode, span in zip(self._episodes, self.episodes, strict=True):
            if span.begin_ns < end_ns and span.end_ns > begin_ns:
                yield from self._frames(episode, span, list(topics), begin_ns, end_ns)

    @property
    def _has_tasks(self) -> bool:
        return bool(self._index.tasks) or any(episode.tasks for episode in self._episodes)

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
            name: self._video(name, episode.clips[name], span.name, first)
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
                    value = table[name][number]
                    if self._features[name].image and isinstance(value, Mapping):
                        value = value['bytes']
                    if value is None:
                        self._note(f'{span.name}: {name} is null in some frames')
                    else:
                        yield name, at_ns, self._table_message(self._features[name], value, at_ns)

    def _table(self, episode: EpisodeFiles, span: Episode, topics: list[str]) -> dict[str, Any]:
        """The columns of one episode by name, without the videos."""
        wanted = [name for name in topics if name != TASK and not self._features[name].video]
        try:
            there = set(parquet.read_schema(episode.data).names)
            columns = [name for name in (*wanted, 'task_index', 'timestamp') if name in there]
            rows = read_table(episode.data, columns, episode.number)
        except (OSError, arrow.ArrowException) as error:
            raise BagError(f'{episode.data} is damaged ({error}): download it again') from error
        if missing := [name for name in wanted if name not in there]:
            raise BagError(f'{episode.data} has no column {", ".join(missing)}, but meta/info.json lists it')
        if rows.num_rows < episode.length:
            self._note(f'{span.name}: the table has {rows.num_rows} of {episode.length} frames')
        table = {name: rows.column(name).to_pylist() for name in columns}
        self._check_times(span.name, table.pop('timestamp', []))
        return table

    def _check_times(self, name: str, timestamps: list[Any]) -> None:
        given = np.asarray([np.nan if one is None else one for one in timestamps], np.float64).reshape(-1)
        off_s = np.abs(given - np.arange(len(given)) / self._index.fps)
        if (off_s > 0.5 / self._index.fps).any():
            self._contradictions.irregular[name] = float(np.nanmax(off_s))

    def _video(self, name: str, clip: Clip, episode: str, number: int) -> Iterator[NDArray[np.uint8] | None]:
        """The frames of an episode's clip of the feature `name`, from frame `number` of the episode on."""
        if name not in self._videos or self._videos[name].path != clip.path:
            self._videos[name] = read_times(clip.path)
        video = self._videos[name]
        first, problem = first_frame(video, clip, self._index.fps)
        if problem:
            self._contradictions.displaced.setdefault(name, {})[episode] = problem
        return read_frames(video, first + number)

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
            data = np.frombuffer(value, np.uint8)
            return self._types[COMPRESSED_IMAGE](header=self._header(at_ns), format='', data=data)
        none = np.zeros(0)
        position = np.array(value, np.float64).reshape(-1)
        return self._types[JOINT_STATE](
            header=self._header(at_ns), name=list(feature.columns), position=position, velocity=none, effort=none
        )


def _absent(features: Sequence[Feature], table: Path) -> dict[str, str]:
    """Return why a feature is not in the tables of a dataset, by name, as far as one of its tables can be read."""
    try:
        there = set(parquet.read_schema(table).names)
    except (OSError, arrow.ArrowException):
        return {}
    names = [feature.name for feature in features if not feature.video and feature.name not in there]
    return dict.fromkeys(names, f'{table.name} has no such column, but meta/info.json lists it')


def _spans(path: Path, episodes: Sequence[EpisodeFiles], fps: float) -> Iterator[Episode]:
    at_ns = _NS
    for episode in episodes:
        length_ns = round(episode.length / fps * _NS)
        if at_ns + length_ns > RECORDING_NS:
            raise BagError(f'{path} is longer than {RECORDING_NS // _NS} s, the limit of a stamp')
        yield Episode(f'episode_{episode.number:06d}', at_ns, at_ns + length_ns)
        at_ns += length_ns + _GAP_NS


def _type(feature: Feature) -> str:
    return IMAGE if feature.video else COMPRESSED_IMAGE if feature.image else JOINT_STATE


def _is_complete(episode: EpisodeFiles, lost: list[str]) -> bool:
    """Whether all files of an episode exist; adds what is wrong with the first other one to `lost`."""
    problem = f'{episode.fault} (episode {episode.number})' if episode.fault else ''
    for path in () if problem else (episode.data, *(clip.path for clip in episode.clips.values())):
        there = path.is_file() and path.stat().st_size
        if why := pointer_problem(path) if there else 'is missing':
            problem = f'{path.name} of episode {episode.number} {why}'
            break
    if problem:
        lost.append(problem)
    return not problem
