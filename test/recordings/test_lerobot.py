# SPDX-License-Identifier: Apache-2.0
"""LeRobot datasets of both layouts as recordings: frames, states, episodes, and missing files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lerobot_sets import ACTION, CAMERA, FPS, LENGTHS, NAMES, STATE, level, rows, version_2, version_3, video, write
from recordings import SPEC

from aura_ros.common.errors import BagError
from aura_ros.recordings.bags import Bag
from aura_ros.replay.steps.align import Observations
from aura_ros.replay.steps.guess import guess

ONE = replace(SPEC, cameras=('front',))
SECOND = 1_000_000_000


def seen(sample: Any) -> float:
    return float(sample.message.data.mean())


@pytest.mark.parametrize('make', [version_2, version_3])
def test_reads_frames_states_and_tasks_of_both_layouts(tmp_path: Path, make: Any) -> None:
    with Bag(make(tmp_path / 'set')) as bag:
        assert [(topic.name, topic.count) for topic in bag.topics] == [
            (ACTION, 100),
            (CAMERA, 100),
            (STATE, 100),
            ('task', 3),
        ]
        assert bag.partial == '' and bag.metadata['robot_type'] == 'so101'
        assert [(one.name, one.begin_ns, one.end_ns) for one in bag.episodes] == [
            ('episode_000000', SECOND, SECOND * 5 // 2),
            ('episode_000001', SECOND * 7 // 2, SECOND * 6),
            ('episode_000002', SECOND * 7, SECOND * 8),
        ]
        samples = list(bag.samples(['task', ACTION, STATE, CAMERA]))
    frames = [(episode, frame) for episode in range(3) for frame in range(LENGTHS[episode])]
    cameras = [sample for sample in samples if sample.topic == CAMERA]
    np.testing.assert_allclose([seen(one) for one in cameras], [level(*frame) for frame in frames], atol=5)
    states = [sample for sample in samples if sample.topic == STATE]
    assert [one.message.name for one in states[:1]] == [NAMES]
    np.testing.assert_allclose([one.message.position[0] for one in states], [e + f / 100 for e, f in frames])
    assert [one.stamp_ns for one in cameras] == [one.stamp_ns for one in states]
    assert [one.message.data for one in samples if one.topic == 'task'] == ['pick', 'put back', 'put back']
    assert [one.topic for one in samples[:4]] == ['task', ACTION, STATE, CAMERA]


@pytest.mark.parametrize('make', [version_2, version_3])
def test_reads_from_the_middle_of_an_episode(tmp_path: Path, make: Any) -> None:
    with Bag(make(tmp_path / 'set')) as bag:
        begin = bag.episodes[1].begin_ns + SECOND
        found = list(bag.samples([CAMERA], begin, begin + SECOND // 4))
    assert [one.log_ns for one in found] == [begin + frame * SECOND // FPS for frame in range(5)]
    np.testing.assert_allclose([seen(one) for one in found], [level(1, 20 + frame) for frame in range(5)], atol=5)


def test_replays_like_a_bag(tmp_path: Path) -> None:
    with Bag(version_3(tmp_path / 'set')) as bag:
        mapping = guess(bag, ONE).mapping
        source = Observations(bag, mapping, ONE)
        found = list(source)
    # Every second of 20 frames a second, from the first frame of each episode on.
    assert [one.episode for one in found] == [f'episode_{e:06d}' for e in range(3) for _ in range(LENGTHS[e] // 2)]
    assert (source.report.with_action, found[0].skew_ns) == (100 // 2 - 0, 0)
    np.testing.assert_allclose(found[1].observation.joint_positions, [0.02, 1, 2], rtol=1e-6)
    action = found[1].recorded_action
    assert action is not None
    np.testing.assert_allclose(action[:, 0], [0.52, 0.53, 0.54, 0.55], rtol=1e-6)
    assert found[20].observation.instruction == 'put back'
    # An episode's actions end with it.
    assert found[14].recorded_action is not None and found[14].recorded_action[-1, 0] == pytest.approx(0.79)


def test_images_may_be_in_the_table(tmp_path: Path) -> None:
    with Bag(version_2(tmp_path / 'set', images=True)) as bag:
        mapping = guess(bag, ONE).mapping
        found = list(Observations(bag, mapping, ONE))
    assert len(found) == 50
    assert found[3].observation.images['front'][0, 0, 0] == level(0, 6)


def test_features_without_names_are_numbered(tmp_path: Path) -> None:
    with Bag(version_2(tmp_path / 'set', names=None)) as bag:
        assert next(bag.samples([STATE])).message.name == ['0', '1', '2']


def test_an_episode_with_missing_files_is_skipped(tmp_path: Path) -> None:
    folder = version_2(tmp_path / 'set')
    (folder / f'videos/chunk-000/{CAMERA}/episode_000001.mp4').unlink()
    with Bag(folder) as bag:
        assert [one.name for one in bag.episodes] == ['episode_000000', 'episode_000002']
        assert bag.partial == '1 of 3 episodes are missing (episode_000001.mp4 of episode 1 is missing, ...)'
        assert sum(1 for _ in bag.samples([CAMERA])) == 50


def test_a_video_or_table_that_ends_early_is_reported(tmp_path: Path) -> None:
    folder = version_2(tmp_path / 'set')
    video(folder / f'videos/chunk-000/{CAMERA}/episode_000000.mp4', [(0, frame) for frame in range(10)])
    short = {key: values[:5] for key, values in rows(2).items()}
    write(folder / 'data/chunk-000/episode_000002.parquet', short)
    with Bag(folder) as bag:
        assert sum(1 for _ in bag.samples([CAMERA])) == 80
        assert sum(1 for _ in bag.samples([STATE])) == 85
        assert 'episode_000000: the video observation.images.front has fewer frames' in bag.partial
        assert 'episode_000002: the table has 5 of 20 frames' in bag.partial


@pytest.mark.parametrize('size', [0, 40, 1500])
def test_a_damaged_video_gives_what_can_be_decoded(tmp_path: Path, size: int) -> None:
    folder = version_2(tmp_path / 'set')
    file = folder / f'videos/chunk-000/{CAMERA}/episode_000000.mp4'
    file.write_bytes(file.read_bytes()[:size])
    with Bag(folder) as bag:
        assert sum(1 for _ in bag.samples([CAMERA])) >= 70
        assert bag.partial


def test_a_damaged_table_is_refused_by_name(tmp_path: Path) -> None:
    folder = version_2(tmp_path / 'set')
    (folder / 'data/chunk-000/episode_000001.parquet').write_bytes(b'PAR1 no')
    with Bag(folder) as bag, pytest.raises(BagError, match=r'episode_000001.parquet is damaged'):
        list(bag.samples([STATE]))


@pytest.mark.parametrize(
    ('file', 'text', 'words'),
    [
        ('meta/info.json', '{', 'meta/info.json: cannot be read'),
        ('meta/info.json', '{"codebase_version": "v1.6"}', "version 'v1.6' is not supported: must be v2.0, v2.1 or v3"),
        ('meta/info.json', '{"codebase_version": "v2.1", "features": {}, "fps": 0}', 'fps is 0'),
        ('meta/episodes.jsonl', '', 'has no complete episode: the index is empty'),
        ('meta/episodes.jsonl', '{"episode_index": 7, "length": 3}', 'episode_000007.parquet of episode 7'),
        ('meta/episodes.jsonl', '{"episode": 7}', "cannot be read: KeyError: 'episode_index'"),
        ('meta/tasks.jsonl', '[]', 'the meta folder of this LeRobot dataset: cannot be read'),
    ],
)
def test_a_damaged_meta_folder_is_refused(tmp_path: Path, file: str, text: str, words: str) -> None:
    folder = version_2(tmp_path / 'set')
    (folder / file).write_text(text)
    with pytest.raises(BagError) as caught:
        Bag(folder)
    assert words in str(caught.value)
