# SPDX-License-Identifier: Apache-2.0
"""The index of a LeRobot dataset: the files of each episode. v2 has one file per episode, v3 shares files."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet

from aura_ros.common.errors import BagError

_VERSIONS = ('v2.', 'v3.')
# Columns that number the frames and measure nothing.
_NUMBERS = ('timestamp', 'frame_index', 'episode_index', 'index', 'task_index')


@dataclass(frozen=True)
class Feature:
    """One measured vector or one camera."""

    name: str
    """Name in meta/info.json."""
    video: bool
    """Whether the frames are in an mp4 file."""
    image: bool
    """Whether the frames are compressed images in the table."""
    columns: tuple[str, ...]
    """Names of the values; '0', '1', ... if the dataset has none."""


@dataclass(frozen=True)
class Clip:
    """Part of a video file."""

    path: Path
    """The video file."""
    from_s: float
    """Time of the first frame in the file [s]."""


@dataclass(frozen=True)
class EpisodeFiles:
    """Files of one episode."""

    number: int
    """The episode_index."""
    length: int
    """Number of frames [1]."""
    data: Path
    """The table of the episode."""
    clips: Mapping[str, Clip]
    """Video of each video feature."""
    tasks: tuple[str, ...]
    """Task texts, if the dataset lists them by episode."""


@dataclass(frozen=True)
class Index:
    """Content of the meta folder."""

    facts: Mapping[str, Any]
    """Content of meta/info.json."""
    fps: float
    """Frames per second [Hz]."""
    features: tuple[Feature, ...]
    """Measured vectors and cameras."""
    tasks: Mapping[int, str]
    """Task text by task_index."""
    episodes: tuple[EpisodeFiles, ...]
    """Episodes in order."""


def read_index(path: Path) -> Index:
    """Read the meta/ folder of a dataset.

    Raises:
        BagError: the folder is damaged, or its version is not supported.
    """
    try:
        facts = json.loads((path / 'meta/info.json').read_text(encoding='utf-8'))
        version = str(facts.get('codebase_version', ''))
        if not version.startswith(_VERSIONS):
            raise BagError(
                f'{path}: LeRobot version {version!r} is not supported: must be v2.0, v2.1 or v3; convert '
                'it with the converter of lerobot'
            )
        features = tuple(_features(facts['features']))
        fps = float(facts['fps'])
        if not 0.0 < fps < 1e4:
            raise BagError(f'{path}/meta/info.json: fps is {fps}: must be > 0')
        found = _version_2(path, facts, features) if version.startswith('v2.') else _version_3(path, facts, features)
        return Index(facts, fps, features, _tasks(path), tuple(found))
    except BagError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, arrow.ArrowException) as error:
        raise BagError(
            f'{path}: the meta folder of this LeRobot dataset is damaged: {type(error).__name__}: {error}'
        ) from error


def _features(given: Mapping[str, Any]) -> Iterator[Feature]:
    for name, about in given.items():
        kind, shape = about['dtype'], about['shape']
        if kind in ('video', 'image'):
            yield Feature(name, kind == 'video', kind == 'image', ())
        elif name not in _NUMBERS and len(shape) == 1 and kind.startswith(('float', 'int')):
            names = tuple(_flat(about.get('names')))
            if len(names) != shape[0]:
                names = tuple(str(number) for number in range(shape[0]))
            yield Feature(name, False, False, names)


def _flat(names: Any) -> Iterator[str]:
    """Names from any nesting of the versions: a list, a list of lists, or a list for each kind of motor."""
    if isinstance(names, str):
        yield names
    elif isinstance(names, Mapping):
        for part in names.values():
            yield from _flat(part)
    elif isinstance(names, list):
        for part in names:
            yield from _flat(part)


def _version_2(path: Path, facts: Mapping[str, Any], features: tuple[Feature, ...]) -> Iterator[EpisodeFiles]:
    for about in _lines(path / 'meta/episodes.jsonl'):
        number = int(about['episode_index'])
        place = {'episode_index': number, 'episode_chunk': number // int(facts['chunks_size'])}
        clips = {
            feature.name: Clip(path / facts['video_path'].format(video_key=feature.name, **place), 0.0)
            for feature in features
            if feature.video
        }
        data = path / facts['data_path'].format(**place)
        yield EpisodeFiles(number, int(about['length']), data, clips, tuple(about.get('tasks') or ()))


def _version_3(path: Path, facts: Mapping[str, Any], features: tuple[Feature, ...]) -> Iterator[EpisodeFiles]:
    videos = [feature.name for feature in features if feature.video]
    columns = ['episode_index', 'length', 'tasks', 'data/chunk_index', 'data/file_index']
    columns += [f'videos/{name}/{key}' for name in videos for key in ('chunk_index', 'file_index', 'from_timestamp')]
    for file in sorted((path / 'meta/episodes').rglob('*.parquet')):
        for about in parquet.read_table(file, columns=columns).to_pylist():
            clips = {}
            for name in videos:
                chunk, part, from_s = (
                    about[f'videos/{name}/{key}'] for key in ('chunk_index', 'file_index', 'from_timestamp')
                )
                clip = facts['video_path'].format(video_key=name, chunk_index=chunk, file_index=part)
                clips[name] = Clip(path / clip, float(from_s))
            data = facts['data_path'].format(chunk_index=about['data/chunk_index'], file_index=about['data/file_index'])
            yield EpisodeFiles(
                int(about['episode_index']), int(about['length']), path / data, clips, tuple(about.get('tasks') or ())
            )


def _tasks(path: Path) -> dict[int, str]:
    lines, table = path / 'meta/tasks.jsonl', path / 'meta/tasks.parquet'
    if lines.exists():
        return {int(about['task_index']): str(about['task']) for about in _lines(lines)}
    if not table.exists():
        return {}
    # pandas stores the text as the index of the table, under a name that varies.
    columns = parquet.read_table(table).to_pydict()
    texts = next(values for name, values in columns.items() if name != 'task_index')
    return dict(zip(columns['task_index'], map(str, texts), strict=True))


def _lines(path: Path) -> Iterator[Any]:
    with path.open(encoding='utf-8') as file:
        for line in file:
            if line.strip():
                yield json.loads(line)
