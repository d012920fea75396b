# SPDX-License-Identifier: Apache-2.0
"""Where the frames of each episode of a LeRobot dataset are: v2.1 has a file an episode, v3 many episodes a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet

from aura_ros.common.errors import BagError

_VERSIONS = ('v2.', 'v3.')
# Columns that number the frames; they are no measurements.
_NUMBERS = ('timestamp', 'frame_index', 'episode_index', 'index', 'task_index')


@dataclass(frozen=True)
class Feature:
    """One column of the dataset, or one camera.

    name: as in meta/info.json.
    video: whether its frames are in an mp4 file.
    image: whether its frames are compressed images in the table.
    columns: names of its values; '0', '1', ... where the dataset has none.
    """

    name: str
    video: bool
    image: bool
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Clip:
    """Part of a video file, from a time in it [s]."""

    path: Path
    from_s: float


@dataclass(frozen=True)
class EpisodeFiles:
    """Where an episode is.

    number: its episode_index.
    length: frames [1].
    data: its table.
    clips: its videos by feature.
    tasks: texts that its frames name by task_index, where the dataset lists them by episode.
    """

    number: int
    length: int
    data: Path
    clips: Mapping[str, Clip]
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Index:
    """What meta/ says.

    facts: meta/info.json.
    fps: frames a second [Hz].
    features: measurements and cameras.
    tasks: text by task_index.
    episodes: in order.
    """

    facts: Mapping[str, Any]
    fps: float
    features: tuple[Feature, ...]
    tasks: Mapping[int, str]
    episodes: tuple[EpisodeFiles, ...]


def read_index(path: Path) -> Index:
    """Read the meta/ folder of a dataset.

    Raises:
        BagError: it is damaged, or of a version that is not known.
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
    """Names as they have been nested over the versions: lists, lists of lists, one list by kind of motor."""
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
    # pandas keeps the text as the index of the table, under a name of its own.
    columns = parquet.read_table(table).to_pydict()
    texts = next(values for name, values in columns.items() if name != 'task_index')
    return dict(zip(columns['task_index'], map(str, texts), strict=True))


def _lines(path: Path) -> Iterator[Any]:
    with path.open(encoding='utf-8') as file:
        for line in file:
            if line.strip():
                yield json.loads(line)
