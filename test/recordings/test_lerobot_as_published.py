# SPDX-License-Identifier: Apache-2.0
"""LeRobot datasets as people publish them: what the index says is missing, null, of another type or contradictory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
from lerobot_sets import CAMERA, FPS, LENGTHS, STATE, level, version_2, version_3, video, write
from recordings import SPEC

from aura_ros.common.errors import BagError
from aura_ros.recordings.bags import Bag
from aura_ros.replay.steps.checks import topic_types
from aura_ros.replay.steps.guess import guess
from aura_ros.replay.steps.mapping import JointStream, Mapping
from aura_ros.vla.joints import joint_values

EPISODES = 'meta/episodes/chunk-000/file-000.parquet'
DATA_2 = 'data/chunk-000/episode_000001.parquet'
DATA_3 = 'data/chunk-000/file-000.parquet'
FROM = f'videos/{CAMERA}/from_timestamp'
POINTER = b'version https://git-lfs.github.com/spec/v1\noid sha256:' + b'7' * 64 + b'\nsize 4711\n'


def edit(file: Path, **columns: Any) -> None:
    """Replace columns of a table; None removes one."""
    table = parquet.read_table(file).to_pydict() | columns
    write(file, {name: values for name, values in table.items() if values is not None})


def add_feature(folder: Path, name: str, **about: Any) -> None:
    facts = json.loads((folder / 'meta/info.json').read_text())
    facts['features'][name] = {'names': None, **about}
    (folder / 'meta/info.json').write_text(json.dumps(facts))


def levels(bag: Bag) -> list[float]:
    return [float(sample.message.data.mean()) for sample in bag.samples([CAMERA])]


def expected_levels(*episodes: int) -> list[int]:
    return [level(episode, frame) for episode in episodes for frame in range(LENGTHS[episode])]


def test_without_tasks_of_the_episodes_the_index_of_the_frame_gives_the_task(tmp_path: Path) -> None:
    folder = version_3(tmp_path / 'set')
    edit(folder / EPISODES, tasks=None)
    with Bag(folder) as bag:
        assert [one.message.data for one in bag.samples(['task'])] == ['pick', 'put back', 'put back']


def test_tasks_may_be_in_a_folder_and_unknown_in_some_frames(tmp_path: Path) -> None:
    folder = version_3(tmp_path / 'set')
    write(folder / 'meta/tasks/chunk-000/file_000.parquet', {'task_index': [0, 1, None], 'task': ['pick', None, 'x']})
    (folder / 'meta/tasks.parquet').unlink()
    edit(folder / EPISODES, tasks=[None, ['sort'], ['sort']])
    with Bag(folder) as bag:
        assert [one.message.data for one in bag.samples(['task'])] == ['pick', 'sort', 'sort']


def test_a_dataset_without_any_task_leaves_the_instruction_to_the_user(tmp_path: Path) -> None:
    folder = version_3(tmp_path / 'set')
    edit(folder / EPISODES, tasks=None)
    (folder / 'meta/tasks.parquet').unlink()
    facts = json.loads((folder / 'meta/info.json').read_text()) | {'total_tasks': 2}
    (folder / 'meta/info.json').write_text(json.dumps(facts))
    with Bag(folder) as bag:
        found = guess(bag, SPEC)
    assert found.mapping.instruction.topic == '' and any('instruction: none' in note for note in found.notes)


def test_version_2_0_is_read_as_version_2_1(tmp_path: Path) -> None:
    folder = version_2(tmp_path / 'set')
    facts = json.loads((folder / 'meta/info.json').read_text()) | {'codebase_version': 'v2.0'}
    (folder / 'meta/info.json').write_text(json.dumps(facts))
    with Bag(folder) as bag:
        np.testing.assert_allclose(levels(bag), expected_levels(0, 1, 2), atol=5)


@pytest.mark.parametrize(
    ('column', 'value'),
    [(f'videos/{CAMERA}/chunk_index', [0, None, 0]), ('data/file_index', [0, None, 1]), ('length', [30, None, 20])],
)
def test_an_episode_with_a_null_in_the_index_is_skipped_and_named(tmp_path: Path, column: str, value: Any) -> None:
    folder = version_3(tmp_path / 'set')
    edit(folder / EPISODES, **{column: value})
    with Bag(folder) as bag:
        assert [one.name for one in bag.episodes] == ['episode_000000', 'episode_000002']
        assert f'{column} is null in file-000.parquet (episode 1)' in bag.partial
        np.testing.assert_allclose(levels(bag), expected_levels(0, 2), atol=5)


def test_a_column_that_the_index_needs_is_named(tmp_path: Path) -> None:
    folder = version_3(tmp_path / 'set')
    edit(folder / EPISODES, length=None)
    with pytest.raises(BagError, match=r'file-000\.parquet: has no column length'):
        Bag(folder)


@pytest.mark.parametrize('drift_s', [-1 / FPS, 0.7 / FPS, 60.0])
def test_frames_are_counted_where_the_dataset_gives_another_time(tmp_path: Path, drift_s: float) -> None:
    folder = version_3(tmp_path / 'set')
    edit(folder / EPISODES, **{FROM: [0.0, *(sum(LENGTHS[:n]) / FPS + drift_s for n in (1, 2))]})
    with Bag(folder) as bag:
        np.testing.assert_allclose(levels(bag), expected_levels(0, 1, 2), atol=5)
        assert len(bag.notes) == 1 and bag.partial == ''
        assert f'episode_000001: the video {CAMERA} has frame 30, where the episode begins, at 1.500 s' in bag.notes[0]
        assert bag.notes[0].endswith('the frames are counted; 1 more episodes are alike')


def test_without_times_of_the_clips_their_frames_are_counted(tmp_path: Path) -> None:
    folder = version_3(tmp_path / 'set')
    edit(folder / EPISODES, **{FROM: None})
    with Bag(folder) as bag:
        np.testing.assert_allclose(levels(bag), expected_levels(0, 1, 2), atol=5)
        assert bag.notes == ()


def test_a_video_with_foreign_frames_is_read_by_the_times_of_the_dataset(tmp_path: Path) -> None:
    folder, foreign = version_3(tmp_path / 'set'), 7
    shown = [(number, frame) for number in range(3) for frame in range(LENGTHS[number])]
    frames = [*shown[:30], *[(2, 0)] * foreign, *shown[30:]]
    video(folder / f'videos/{CAMERA}/chunk-000/file-000.mp4', frames)
    edit(folder / EPISODES, **{FROM: [0.0, (30 + foreign) / FPS, (80 + foreign) / FPS]})
    with Bag(folder) as bag:
        np.testing.assert_allclose(levels(bag), expected_levels(0, 1, 2), atol=5)
        assert 'has 107 frames, but its episodes have 100: from_timestamp decides' in bag.notes[0]


@pytest.mark.parametrize(('make', 'file'), [(version_2, DATA_2), (version_3, DATA_3)])
def test_timestamps_that_contradict_the_rate_are_noted(tmp_path: Path, make: Any, file: str) -> None:
    folder = make(tmp_path / 'set')
    times = parquet.read_table(folder / file).column('timestamp').to_pylist()
    edit(folder / file, timestamp=[*times[:-5], *(time + 0.4 for time in times[-5:])])
    with Bag(folder) as bag:
        stamps = [one.stamp_ns for one in bag.samples([STATE], *(bag.episodes[1].begin_ns, bag.episodes[1].end_ns))]
        assert np.allclose(np.diff(stamps), 1e9 / FPS)
        (note,) = bag.notes
    assert note == (
        'the column timestamp differs from frame / fps by up to 0.4 s in 1 of 3 episodes: '
        f'frame i of an episode is taken at i / {FPS} s'
    )


def test_regular_timestamps_and_rounded_ones_are_not_noted(tmp_path: Path) -> None:
    folder = version_2(tmp_path / 'set')
    times = parquet.read_table(folder / DATA_2).column('timestamp').to_pylist()
    edit(folder / DATA_2, timestamp=[time + 0.45 / FPS for time in times[:-1]] + [None])
    with Bag(folder) as bag:
        assert sum(1 for _ in bag.samples([STATE])) == 100
        assert bag.notes == ()


@pytest.mark.parametrize(
    ('dtype', 'shape', 'values', 'read'),
    [
        ('bool', [3], [True, False, True], [1.0, 0.0, 1.0]),
        ('uint8', [1], 200, [200.0]),
        ('uint16', [2], [1, 65535], [1.0, 65535.0]),
        ('int64', [], -4, [-4.0]),
        ('float64', [1, 3], [[0.5, 1.5, 2.5]], [0.5, 1.5, 2.5]),
    ],
)
def test_vectors_of_any_number_are_read(tmp_path: Path, dtype: str, shape: Any, values: Any, read: Any) -> None:
    folder = version_3(tmp_path / 'set')
    add_feature(folder, 'extra', dtype=dtype, shape=shape)
    for file, rows in ((DATA_3, 80), (DATA_3.replace('000.', '001.'), 20)):
        edit(folder / file, extra=[values] * rows)
    with Bag(folder) as bag:
        first = next(bag.samples(['extra'])).message
        assert list(first.name) == [str(number) for number in range(len(read))]
        assert list(first.position) == read
        assert bag.notes == ()


@pytest.mark.parametrize(
    ('dtype', 'shape', 'why'),
    [
        ('float32', [2, 3], 'its shape is [2, 3]'),
        ('uint8', [48, 64, 3], 'its shape is [48, 64, 3]'),
        ('string', [1], 'its dtype is string'),
        ('float32', [10**9], 'it has 1,000,000,000 values'),
    ],
)
def test_a_feature_that_is_not_read_is_named_with_the_reason(tmp_path: Path, dtype: str, shape: Any, why: str) -> None:
    folder = version_2(tmp_path / 'set')
    add_feature(folder, 'observation.touch', dtype=dtype, shape=shape)
    with Bag(folder) as bag:
        (note,) = bag.notes
        assert note.startswith(f'observation.touch is not read: {why}')
        with pytest.raises(BagError, match=r'no topic observation\.touch, which the mapping names; observation\.touch'):
            topic_types(bag, Mapping({}, (JointStream('observation.touch'),)))


def test_a_feature_that_no_table_has_is_named(tmp_path: Path) -> None:
    folder = version_2(tmp_path / 'set')
    add_feature(folder, 'next.done', dtype='bool', shape=[1])
    with Bag(folder) as bag:
        assert bag.notes == (
            'next.done is not read: episode_000000.parquet has no such column, but meta/info.json lists it',
        )
        assert guess(bag, SPEC).mapping.joints[0].topic == STATE


def test_a_flag_is_not_taken_for_the_joints(tmp_path: Path) -> None:
    folder = version_2(tmp_path / 'set', names=['a', 'b', 'c'])
    add_feature(folder, 'next.done', dtype='bool', shape=[1])
    for number, length in enumerate(LENGTHS):
        edit(folder / f'data/chunk-000/episode_{number:06d}.parquet', **{'next.done': [False] * length})
    with Bag(folder) as bag:
        assert guess(bag, SPEC).mapping.joints[0].topic == STATE


def test_null_values_are_left_out_and_reported(tmp_path: Path) -> None:
    folder = version_2(tmp_path / 'set')
    states = parquet.read_table(folder / DATA_2).column(STATE).to_pylist()
    edit(folder / DATA_2, **{STATE: [None, *states[1:]], 'task_index': [None] * len(states)})
    with Bag(folder) as bag:
        assert sum(1 for _ in bag.samples([STATE])) == 99
        assert bag.partial == 'episode_000001: observation.state is null in some frames'
        assert [one.message.data for one in bag.samples(['task'])] == ['pick', 'x', 'put back']


def test_a_name_for_two_values_is_refused_as_on_the_robot(tmp_path: Path) -> None:
    with Bag(version_2(tmp_path / 'set', names=['arm', 'finger', 'finger'])) as bag:
        message = next(bag.samples([STATE])).message
    with pytest.raises(ValueError, match='finger twice with different positions, 1 and 2'):
        joint_values(message.name, message.position, ('arm', 'finger'))


@pytest.mark.parametrize('make', [version_2, version_3])
@pytest.mark.parametrize('pattern', ['*.mp4', 'data/**/*.parquet', 'meta/**/*', 'info.json'])
def test_a_pointer_of_git_lfs_is_named_with_the_fix(tmp_path: Path, make: Any, pattern: str) -> None:
    folder = make(tmp_path / 'set')
    for file in filter(Path.is_file, folder.rglob(pattern)):
        file.write_bytes(POINTER)
    with pytest.raises(BagError) as caught:
        Bag(folder)
    assert str(caught.value).endswith('is a Git LFS pointer, not the recording: run git lfs pull')
    assert 'damaged' not in str(caught.value) and 'download' not in str(caught.value)


def test_one_pointer_among_whole_files_costs_one_episode(tmp_path: Path) -> None:
    folder = version_2(tmp_path / 'set')
    (folder / DATA_2).write_bytes(POINTER)
    with Bag(folder) as bag:
        assert [one.name for one in bag.episodes] == ['episode_000000', 'episode_000002']
        assert 'episode_000001.parquet of episode 1 is a Git LFS pointer' in bag.partial
