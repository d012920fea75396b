# SPDX-License-Identifier: Apache-2.0
"""Recordings and texts that unpack, repeat or refer without limit are refused by name."""

import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from aura_ros.common.errors import BagError, ConfigError
from aura_ros.common.limits import TEXT_BYTES
from aura_ros.common.yaml_lines import parse_yaml, read_yaml
from aura_ros.recordings.bags import Bag

pytestmark = pytest.mark.fault('F33')
FRAMES = 5
STATE = {'dtype': 'float32', 'shape': [2], 'names': ['a', 'b']}


def dataset(folder: Path, length: Any = FRAMES, video: bool = False, **facts: Any) -> Path:
    """Write a LeRobot dataset of one episode; `facts` replace values of meta/info.json."""
    (folder / 'meta').mkdir(parents=True)
    features = {'observation.state': STATE} | ({'front': {'dtype': 'video', 'shape': [8, 8, 3]}} if video else {})
    info = {
        'codebase_version': 'v2.1',
        'fps': 10,
        'chunks_size': 1000,
        'features': features,
        'data_path': 'data/{episode_chunk:03d}/{episode_index:06d}.parquet',
        'video_path': 'videos/{video_key}/{episode_index:06d}.mp4',
    }
    (folder / 'meta/info.json').write_text(json.dumps(info | facts))
    (folder / 'meta/episodes.jsonl').write_text(json.dumps({'episode_index': 0, 'length': length, 'tasks': ['t']}))
    (folder / 'data/000').mkdir(parents=True)
    columns = {'observation.state': [[0.1, 0.2]] * FRAMES, 'episode_index': [0] * FRAMES}
    parquet.write_table(arrow.table(columns), folder / 'data/000/000000.parquet')
    return folder


def video(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w', format='mp4') as container:
        stream = container.add_stream('mpeg4', rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = 'yuv420p'
        for _ in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format='rgb24')))
        container.mux(stream.encode())


def frames(path: Path) -> int:
    with Bag(path) as bag:
        return sum(sample.topic == 'front' for sample in bag.samples(['front', 'observation.state']))


@pytest.mark.parametrize(
    ('facts', 'words'),
    [
        ({'length': 10**10}, 'length is 10000000000: must be in 0..'),
        ({'length': -5}, 'length is -5'),
        ({'fps': 1e-300}, 'fps is 1e-300: must be in 0.01..10000'),
        ({'fps': 1e300}, 'fps is 1e+300'),
        ({'chunks_size': 0}, 'chunks_size is 0: must be at least 1'),
        ({'data_path': '{episode_index:03000000000d}'}, 'data_path'),
        ({'data_path': '{episode_index:{episode_index}}'}, 'data_path'),
        ({'data_path': '{episode_index.__class__}'}, 'data_path'),
        ({'data_path': '{episode_index!r:>1000000000}'}, 'data_path'),
        ({'data_path': '/etc/hostname'}, 'leads outside the dataset'),
        ({'data_path': '../other/{episode_index}.parquet'}, 'leads outside the dataset'),
        ({'video': True, 'video_path': '../{video_key}.mp4'}, 'leads outside the dataset'),
        ({'features': []}, 'cannot be read'),
        ({'features': {'x': None}}, 'cannot be read'),
        ({'features': {str(number): STATE for number in range(2000)}}, 'has 2000 features'),
    ],
)
def test_a_dataset_beyond_a_limit_is_refused(tmp_path: Path, facts: dict[str, Any], words: str) -> None:
    with pytest.raises(BagError) as error:
        Bag(dataset(tmp_path / 'set', **facts))
    assert words in str(error.value) and '\n' not in str(error.value)


def test_a_link_that_leads_outside_the_dataset_is_refused(tmp_path: Path) -> None:
    folder = dataset(tmp_path / 'set')
    data = folder / 'data/000/000000.parquet'
    data.rename(tmp_path / 'other.parquet')
    data.symlink_to(tmp_path / 'other.parquet')
    with pytest.raises(BagError, match='leads outside the dataset'):
        Bag(folder)
    data.unlink()
    data.symlink_to(data)
    with pytest.raises(BagError, match=r'cannot be read|no complete episode'):
        Bag(folder)


def test_the_links_of_a_download_cache_are_followed(tmp_path: Path) -> None:
    folder = dataset(tmp_path / 'cache/snapshots/abc')
    data, blob = folder / 'data/000/000000.parquet', tmp_path / 'cache/blobs/123'
    blob.parent.mkdir()
    data.rename(blob)
    data.symlink_to(os.path.relpath(blob, data.parent))
    assert Bag(folder).episodes


def test_a_table_that_unpacks_to_too_many_values_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: Callable[[str], None]
) -> None:
    folder, rows = dataset(tmp_path / 'set'), 11_000_000
    data = folder / 'data/000/000000.parquet'
    zeros = arrow.array(np.zeros(rows, np.int8))
    parquet.write_table(arrow.table({'observation.state': zeros, 'episode_index': zeros}), data)
    with Bag(folder) as bag, pytest.raises(BagError, match='11,000,000 rows: must be at most 10,000,000'):
        list(bag.samples(['observation.state']))
    measured(f'table of {rows:,} rows in {data.stat().st_size:,} bytes: refused')


@pytest.fixture
def requests() -> Iterator[tuple[int, list[str]]]:
    """Yield the port of a web server on this computer and the requests that it gets."""
    found: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.append(self.path)
            self.send_error(404)

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, found
    server.shutdown()
    server.server_close()


def test_a_dataset_reads_nothing_from_the_network_or_from_other_files(
    tmp_path: Path, requests: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch, measured: Callable[[str], None]
) -> None:
    port, seen = requests
    video(tmp_path / 'private.mp4')
    template = f'http:/127.0.0.1:{port}/secret/{{video_key}}.mp4'
    folder = dataset(tmp_path / 'set', video=True, video_path=template)
    local = folder / template.format(video_key='front')
    video(local)
    monkeypatch.chdir(folder)
    assert frames(Path()) == FRAMES  # the file of that name, not the server
    for text in (
        f'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n',
        f'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/private.mp4\n#EXT-X-ENDLIST\n',
        f'ffconcat version 1.0\nfile {tmp_path}/private.mp4\n',
    ):
        local.write_text(text)
        assert frames(Path()) == 0
    assert not seen
    measured('4 datasets with addresses in paths and playlists: 0 requests, 0 foreign frames')


def bomb(levels: int) -> str:
    """Return YAML in which ten aliases at each of `levels` stand for the level before."""
    text = 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n'
    for level in range(1, levels):
        text += f'a{level}: &a{level} [{", ".join([f"*a{level - 1}"] * 10)}]\n'
    return text


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        (bomb(9), 'with aliases expanded, is limited to'),
        (bomb(9) + '<<: [{k: *a8}]\n', 'with aliases expanded, is limited to'),
        ('a: &a [*a]\n', 'with aliases expanded, is limited to'),
        ('a: &a {b: *a}\n', 'with aliases expanded, is limited to'),
        ('[' * 20000 + ']' * 20000, 'nesting is limited to 50 levels'),
        ('{a: ' * 20000, 'nesting is limited to 50 levels'),
        ('- ' * 20000, 'nesting is limited to 50 levels'),
        ('x' * (TEXT_BYTES + 1), 'must be at most'),
        ('a: 2020-99-99', 'cannot be read: ValueError'),
        ('a: ' + '9' * 5000, 'an integer is limited to 64 characters'),
        ('a: !!int x', 'cannot be read: ValueError'),
        ('{[]: 1}', 'not valid YAML'),
        ('a: !!python/object/apply:os.system [ls]', 'not valid YAML'),
        ('a: \x00', 'cannot be read'),
    ],
)
def test_yaml_beyond_a_limit_is_refused_in_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_yaml(text, 'x.yaml')
    assert words in str(error.value) and len(str(error.value)) < 400
    if len(text) <= TEXT_BYTES:
        (tmp_path / 'x.yaml').write_text(text)
        with pytest.raises(ConfigError):
            read_yaml(tmp_path / 'x.yaml')


def test_a_few_aliases_are_expanded() -> None:
    assert parse_yaml(bomb(3), 'x.yaml')['a2'][0][0] == ['x'] * 10


def loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    'make', [loop, Path.mkdir, os.mkfifo, partial(Path.write_bytes, data=b'a: \xe9'), partial(os.symlink, '/dev/zero')]
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / 'x.yaml'
    make(path)
    with pytest.raises(ConfigError, match=r'x\.yaml'):
        read_yaml(path)
