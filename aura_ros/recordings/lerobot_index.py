# SPDX-License-Identifier: Apache-2.0
"""The index of a LeRobot dataset: the files of each episode. v2 has one file per episode, v3 shares files."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from string import Formatter
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet

from aura_ros.common.errors import BagError
from aura_ros.common.limits import (
    DATASET_EPISODES,
    DATASET_FEATURES,
    DATASET_FPS,
    EPISODE_FRAMES,
    RECORDING_NS,
    TABLE_BYTES,
    TABLE_ROWS,
    TABLE_VALUES,
    TEXT_BYTES,
)
from aura_ros.common.text_files import loading, read_object
from aura_ros.recordings.lerobot_features import FRAME_COLUMNS, Feature, read_feature, why_unread
from aura_ros.recordings.lfs import refuse_pointer

_VERSIONS = ('v2.', 'v3.')
# Format of a number in a template: at most two digits of width.
_FORM = re.compile(r'(0?\d{1,2}d?)?')


@dataclass(frozen=True)
class Clip:
    """Part of a video file."""

    path: Path
    """The video file."""
    from_s: float | None = None
    """Time of the first frame in the file as the dataset gives it [s]; None if it gives none."""
    first: int = 0
    """Number of frames before it in the file, by the lengths of the episodes before it [1]."""
    frames: int = 0
    """Frames of all episodes in the file [1]."""


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
    fault: str = ''
    """Why the index does not say where the episode is; '' if it does."""


@dataclass(frozen=True)
class Index:
    """Content of the meta folder."""

    facts: Mapping[str, Any]
    """Content of meta/info.json."""
    fps: float
    """Frames per second [Hz]."""
    features: tuple[Feature, ...]
    """Measured vectors and cameras."""
    unread: Mapping[str, str]
    """Why a feature is not read, by its name."""
    tasks: Mapping[int, str]
    """Task text by task_index."""
    episodes: tuple[EpisodeFiles, ...]
    """Episodes in order."""


def read_index(path: Path) -> Index:
    """Read the meta/ folder of a dataset.

    Raises:
        BagError: the folder is damaged, or its version is not supported.
    """
    with loading(f'{path}: the meta folder of this LeRobot dataset', BagError):
        info = path / 'meta/info.json'
        refuse_pointer(info)
        facts = read_object(info)
        version = str(facts.get('codebase_version', ''))
        if not version.startswith(_VERSIONS):
            raise BagError(
                f'{path}: LeRobot version {version!r} is not supported: must be v2.0, v2.1 or v3; convert '
                'it with the converter of lerobot'
            )
        given = facts['features']
        if len(given) > DATASET_FEATURES:
            raise BagError(f'{info}: has {len(given)} features: must be at most {DATASET_FEATURES}')
        unread = {name: why for name, about in given.items() if (why := why_unread(name, about))}
        left_out = {*unread, *FRAME_COLUMNS}
        features = tuple(read_feature(name, about) for name, about in given.items() if name not in left_out)
        fps, (low, high) = float(facts['fps']), DATASET_FPS
        if not low <= fps <= high:
            raise BagError(f'{info}: fps is {fps:g}: must be in {low:g}..{high:g}')
        places = _Places(path, facts)
        found = _version_2(places, features) if version.startswith('v2.') else _version_3(places, features)
        episodes = list(islice(found, DATASET_EPISODES + 1))
        if len(episodes) > DATASET_EPISODES:
            raise BagError(f'{path}: has more than {DATASET_EPISODES:,} episodes')
        return Index(facts, fps, features, unread, _tasks(path), tuple(_counted(episodes)))


class _Places:
    """Files of a dataset by the templates in meta/info.json."""

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path = path
        self.facts = facts
        self._root = path.resolve()
        # The download cache of Hugging Face keeps the files beside the folders of the snapshots, as links.
        self._roots = (self._root, self._root.parents[1] / 'blobs' if self._root.parent.name == 'snapshots' else path)

    def file(self, key: str, **values: Any) -> Path:
        """Return the absolute path that the template `key` gives.

        Raises:
            BagError: the template has other fields, or the path lies outside the dataset.
        """
        template = str(self.facts[key])
        for _, field, form, conversion in Formatter().parse(template):
            if field is not None and (field not in values or conversion or not _FORM.fullmatch(form or '')):
                raise BagError(
                    f'{self.path}/meta/info.json: {key} {template[:100]!r} is not allowed: must use only '
                    f'{", ".join(f"{{{name}}}" for name in values)}, with at most two digits of width'
                )
        file = self._root / template.format(**values)
        resolved = file.resolve()
        if not any(resolved.is_relative_to(root) for root in self._roots):
            raise BagError(
                f'{self.path}/meta/info.json: {key} {template[:100]!r} leads outside the dataset: must stay inside'
            )
        return file


def _version_2(places: _Places, features: tuple[Feature, ...]) -> Iterator[EpisodeFiles]:
    chunk = int(places.facts['chunks_size'])
    if chunk < 1:
        raise BagError(f'{places.path}/meta/info.json: chunks_size is {chunk}: must be at least 1')
    for about in _lines(places.path / 'meta/episodes.jsonl'):
        number = int(about['episode_index'])
        place = {'episode_index': number, 'episode_chunk': number // chunk}
        clips = {
            feature.name: Clip(places.file('video_path', video_key=feature.name, **place))
            for feature in features
            if feature.video
        }
        yield _episode(about, places.file('data_path', **place), clips)


def _version_3(places: _Places, features: tuple[Feature, ...]) -> Iterator[EpisodeFiles]:
    videos = [feature.name for feature in features if feature.video]
    needed = ['episode_index', 'length', 'data/chunk_index', 'data/file_index']
    needed += [f'videos/{name}/{key}' for name in videos for key in ('chunk_index', 'file_index')]
    optional = ['tasks', *(f'videos/{name}/from_timestamp' for name in videos)]
    for file in sorted((places.path / 'meta/episodes').rglob('*.parquet')):
        refuse_pointer(file)
        there = set(parquet.read_schema(file).names)
        if missing := [name for name in needed if name not in there]:
            raise BagError(f'{file}: has no column {", ".join(missing)}')
        for about in read_table(file, [name for name in (*needed, *optional) if name in there]).to_pylist():
            if null := [name for name in needed if about[name] is None]:
                number = -1 if about['episode_index'] is None else int(about['episode_index'])
                yield EpisodeFiles(number, 0, Path(), {}, (), f'{null[0]} is null in {file.name}')
            else:
                yield _episode(about, *_places_3(places, about, videos))


def _places_3(places: _Places, about: Mapping[str, Any], videos: list[str]) -> tuple[Path, dict[str, Clip]]:
    """Return the table and the videos of an episode of version 3."""
    clips = {}
    for name in videos:
        chunk, part = (int(about[f'videos/{name}/{key}']) for key in ('chunk_index', 'file_index'))
        from_s = about.get(f'videos/{name}/from_timestamp')
        file = places.file('video_path', video_key=name, chunk_index=chunk, file_index=part)
        clips[name] = Clip(file, None if from_s is None else float(from_s))
    chunk, part = int(about['data/chunk_index']), int(about['data/file_index'])
    return places.file('data_path', chunk_index=chunk, file_index=part), clips


def _episode(about: Mapping[str, Any], data: Path, clips: Mapping[str, Clip]) -> EpisodeFiles:
    number, length = int(about['episode_index']), int(about['length'])
    if not 0 <= length <= EPISODE_FRAMES:
        raise BagError(f'episode {number}: length is {length}: must be in 0..{EPISODE_FRAMES}')
    for name, clip in clips.items():
        if clip.from_s is not None and not 0.0 <= clip.from_s <= RECORDING_NS / 1e9:
            raise BagError(f'episode {number}: from_timestamp of {name} is {clip.from_s:g} s: must be >= 0')
    return EpisodeFiles(number, length, data, clips, tuple(about.get('tasks') or ()))


def _counted(episodes: list[EpisodeFiles]) -> Iterator[EpisodeFiles]:
    """Add to each clip its place in the file, by the lengths of the episodes whose frames are before it."""
    shared: dict[tuple[str, Path], list[tuple[float, int]]] = {}
    for place, episode in enumerate(episodes):
        for name, clip in episode.clips.items():
            shared.setdefault((name, clip.path), []).append((clip.from_s or 0.0, place))
    counted: list[dict[str, Clip]] = [{} for _ in episodes]
    for (name, _), users in shared.items():
        frames, first = sum(episodes[place].length for _, place in users), 0
        for _, place in sorted(users):
            counted[place][name] = replace(episodes[place].clips[name], first=first, frames=frames)
            first += episodes[place].length
    for episode, clips in zip(episodes, counted, strict=True):
        yield replace(episode, clips=clips)


def read_table(path: Path, columns: list[str] | None = None, episode: int | None = None) -> arrow.Table:
    """Read columns of a Parquet file, optionally the rows of one episode only.

    Raises:
        BagError: the file exceeds a limit.
    """
    refuse_pointer(path)
    facts = parquet.read_metadata(path)
    groups = [facts.row_group(number) for number in range(facts.num_row_groups)]
    values = Counter[int]()
    for group in groups:
        for number in range(group.num_columns):
            values[number] += group.column(number).num_values
    for what, found, limit in (
        ('rows', facts.num_rows, TABLE_ROWS),
        ('values in a column', max(values.values(), default=0), TABLE_VALUES),
        ('bytes when unpacked', sum(group.total_byte_size for group in groups), TABLE_BYTES),
    ):
        if found > limit:
            raise BagError(f'{path}: has {found:,} {what}: must be at most {limit:,}')
    rows = [('episode_index', '=', episode)] if episode is not None else None
    return parquet.read_table(path, columns=columns, filters=rows)


def _tasks(path: Path) -> dict[int, str]:
    lines, table = path / 'meta/tasks.jsonl', path / 'meta/tasks.parquet'
    if lines.exists():
        return {int(about['task_index']): str(about['task']) for about in _lines(lines)}
    found: dict[int, str] = {}
    # pandas stores the text as the index of the table, under a name that varies.
    for file in [table] if table.exists() else sorted((path / 'meta/tasks').rglob('*.parquet')):
        columns = read_table(file).to_pydict()
        texts = next((values for name, values in columns.items() if name != 'task_index'), ())
        pairs = zip(columns['task_index'], texts, strict=True)
        found |= {number: str(text) for number, text in pairs if number is not None and text is not None}
    return found


def _lines(path: Path) -> Iterator[Any]:
    refuse_pointer(path)
    with path.open(encoding='utf-8') as file:
        for number in count(1):
            with loading(f'{path}:{number}', BagError):
                if not (line := file.readline(TEXT_BYTES + 1)):
                    return
                if len(line) > TEXT_BYTES:
                    raise BagError(f'{path}:{number}: has more than {TEXT_BYTES:,} characters')
                found = json.loads(line) if line.strip() else None
            if found is not None:
                yield found
