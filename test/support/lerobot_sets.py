# SPDX-License-Identifier: Apache-2.0
"""Small LeRobot datasets of three episodes in both layouts, with one camera and three joints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet

FPS = 20
LENGTHS = (30, 50, 20)
STATE, ACTION, CAMERA = 'observation.state', 'action', 'observation.images.front'
NAMES = ['joint1', 'joint2', 'joint3']


def level(episode: int, frame: int) -> int:
    """Grey level of a frame, which survives any codec."""
    return 40 + (frame * 11 + episode * 17) % 180


def video(path: Path, frames: list[tuple[int, int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mpeg4', rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 32, 32, 'yuv420p'
        stream.gop_size = 12
        for frame in frames:
            pixels = np.full((32, 32, 3), level(*frame), np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format='rgb24')):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def rows(episode: int, images: bool = False, joints: int = 3) -> dict[str, list[Any]]:
    frames, others = range(LENGTHS[episode]), np.arange(1.0, joints)
    table: dict[str, list[Any]] = {
        STATE: [[episode + frame / 100, *others] for frame in frames],
        ACTION: [[episode + frame / 100 + 0.5, *(others + 0.5)] for frame in frames],
        'timestamp': [frame / FPS for frame in frames],
        'frame_index': list(frames),
        'episode_index': [episode] * len(frames),
        'task_index': [min(episode, 1)] * len(frames),
    }
    if images:
        pictures = [np.full((8, 8, 3), level(episode, frame), np.uint8) for frame in frames]
        table[CAMERA] = [{'bytes': cv2.imencode('.png', one)[1].tobytes(), 'path': ''} for one in pictures]
    return table


def write(path: Path, table: dict[str, list[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(arrow.table(table), path)


def info(version: str, names: Any, camera: str = 'video', joints: int = 3, **paths: str) -> dict[str, Any]:
    vector = {'dtype': 'float32', 'shape': [joints], 'names': names}
    return {
        'codebase_version': version,
        'robot_type': 'so101',
        'fps': FPS,
        'chunks_size': 1000,
        **paths,
        'features': {
            STATE: vector,
            ACTION: vector,
            CAMERA: {'dtype': camera, 'shape': [32, 32, 3], 'names': None},
            'timestamp': {'dtype': 'float32', 'shape': [1], 'names': None},
            'task_index': {'dtype': 'int64', 'shape': [1], 'names': None},
        },
    }


def version_2(folder: Path, names: Any = NAMES, images: bool = False) -> Path:
    meta = info(
        'v2.1',
        [names],
        'image' if images else 'video',
        data_path='data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet',
        video_path='videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4',
    )
    (folder / 'meta').mkdir(parents=True)
    (folder / 'meta/info.json').write_text(json.dumps(meta))
    episodes = [{'episode_index': number, 'tasks': ['x'], 'length': length} for number, length in enumerate(LENGTHS)]
    (folder / 'meta/episodes.jsonl').write_text('\n'.join(map(json.dumps, episodes)) + '\n')
    tasks = [{'task_index': number, 'task': text} for number, text in enumerate(('pick', 'put back'))]
    (folder / 'meta/tasks.jsonl').write_text('\n'.join(map(json.dumps, tasks)))
    for number, length in enumerate(LENGTHS):
        write(folder / f'data/chunk-000/episode_{number:06d}.parquet', rows(number, images))
        if not images:
            frames = [(number, frame) for frame in range(length)]
            video(folder / f'videos/chunk-000/{CAMERA}/episode_{number:06d}.mp4', frames)
    return folder


def version_3(folder: Path, names: Sequence[str] = NAMES) -> Path:
    meta = info(
        'v3.0',
        {'motors': list(names)},
        joints=len(names),
        data_path='data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet',
        video_path='videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4',
    )
    tables = [rows(number, joints=len(names)) for number in range(3)]
    write(folder / 'data/chunk-000/file-000.parquet', {key: tables[0][key] + tables[1][key] for key in tables[0]})
    write(folder / 'data/chunk-000/file-001.parquet', tables[2])
    video(
        folder / f'videos/{CAMERA}/chunk-000/file-000.mp4',
        [(number, frame) for number in range(3) for frame in range(LENGTHS[number])],
    )
    write(folder / 'meta/tasks.parquet', {'task_index': [0, 1], '__index_level_0__': ['pick', 'put back']})
    write(
        folder / 'meta/episodes/chunk-000/file-000.parquet',
        {
            'episode_index': [0, 1, 2],
            'length': list(LENGTHS),
            'tasks': [['x']] * 3,
            'data/chunk_index': [0, 0, 0],
            'data/file_index': [0, 0, 1],
            f'videos/{CAMERA}/chunk_index': [0, 0, 0],
            f'videos/{CAMERA}/file_index': [0, 0, 0],
            f'videos/{CAMERA}/from_timestamp': [0.0, LENGTHS[0] / FPS, sum(LENGTHS[:2]) / FPS],
        },
    )
    (folder / 'meta/info.json').write_text(json.dumps(meta))
    return folder
