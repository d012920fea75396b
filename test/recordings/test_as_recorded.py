# SPDX-License-Identifier: Apache-2.0
"""Recordings as recorders leave them: a write-ahead log beside an SQLite file, and messages of ROS 1 in MCAP."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import Writer as McapWriter
from recordings import BEGIN_NS, MS, STATES, robot_bag
from rosbags.typesys import Stores, get_typestore

from aura_ros.common.errors import BagError
from aura_ros.recordings.bags import Bag

ROS1 = get_typestore(Stores.ROS1_NOETIC)


def killed(folder: Path, stored: int) -> Path:
    """A recording of a killed recorder: `stored` of its messages are in the database, the others in its log."""
    whole = next(robot_bag(folder / 'whole', storage='sqlite3').glob('*.db3'))
    bag = folder / 'bag'
    bag.mkdir()
    with closing(sqlite3.connect(whole)) as source, closing(sqlite3.connect(bag / 'bag_0.db3')) as target:
        target.executescript('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;')
        tables = dict(source.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        for name, sql in tables.items():
            target.execute(sql)
            if name != 'messages':
                _copy(target, name, source.execute(f'SELECT * FROM {name}').fetchall())
        rows = source.execute('SELECT * FROM messages ORDER BY id').fetchall()
        _copy(target, 'messages', rows[:stored])
        if stored:
            target.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        _copy(target, 'messages', rows[stored:])
        # Before the connection closes, which would merge the log.
        shutil.copytree(bag, folder / 'killed', ignore=shutil.ignore_patterns('*-shm'))
    return folder / 'killed'


def _copy(target: sqlite3.Connection, table: str, rows: list[tuple[object, ...]]) -> None:
    if rows:
        target.executemany(f'INSERT INTO {table} VALUES ({", ".join("?" * len(rows[0]))})', rows)
    target.commit()


def messages(path: Path) -> list[tuple[str, int]]:
    with Bag(path) as bag:
        return [(sample.topic, sample.log_ns) for sample in bag.samples([topic.name for topic in bag.topics])]


@pytest.mark.parametrize('stored', [0, 100])
def test_messages_in_the_log_of_a_killed_recorder_are_read(tmp_path: Path, stored: int) -> None:
    path = killed(tmp_path, stored)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    assert len(before['bag_0.db3-wal']) > 10_000
    assert messages(path) == messages(tmp_path / 'whole')
    assert messages(path / 'bag_0.db3') == messages(tmp_path / 'whole')
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before, 'the recording stays unchanged'
    with Bag(path) as bag:
        assert [file.name for file in bag.files] == ['bag_0.db3', 'bag_0.db3-wal']
        assert bag.partial.startswith('metadata.yaml is missing') and 'wal' not in bag.partial


def test_a_log_of_another_file_changes_nothing(tmp_path: Path) -> None:
    path = robot_bag(tmp_path / 'bag', storage='sqlite3')
    whole = messages(path)
    (file,) = path.glob('*.db3')
    file.with_name(f'{file.name}-wal').write_bytes(bytes(5000))
    assert messages(path) == whole


def ros1_bag(path: Path, encoding: str = 'ros1') -> Path:
    types = ROS1.types
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros1', library='test')
        definition, _ = ROS1.generate_msgdef('sensor_msgs/msg/JointState')
        schema = writer.register_schema('sensor_msgs/JointState', 'ros1msg', definition.encode())
        channel = writer.register_channel(STATES, encoding, schema)
        for number in range(10):
            at_ns = BEGIN_NS + number * 50 * MS
            stamp = types['builtin_interfaces/msg/Time'](sec=at_ns // 10**9, nanosec=at_ns % 10**9)
            message = types['sensor_msgs/msg/JointState'](
                header=types['std_msgs/msg/Header'](seq=number, stamp=stamp, frame_id='base'),
                name=['pan', 'tilt'],
                position=np.array([0.1 * number, -0.5]),
                velocity=np.zeros(0),
                effort=np.zeros(0),
            )
            data = bytes(ROS1.serialize_ros1(message, 'sensor_msgs/msg/JointState')) if encoding == 'ros1' else b'{}'
            writer.add_message(channel, at_ns, data, at_ns)
        writer.finish()
    return path


def test_messages_of_ros_1_in_mcap_are_decoded(tmp_path: Path) -> None:
    with Bag(ros1_bag(tmp_path / 'ros1.mcap')) as bag:
        found = list(bag.samples([STATES]))
        assert not bag.partial and bag.topics[0].type == 'sensor_msgs/msg/JointState'
    assert [sample.stamp_ns for sample in found] == [BEGIN_NS + number * 50 * MS for number in range(10)]
    assert found[3].message.name == ['pan', 'tilt'] and found[3].message.position.tolist() == pytest.approx([0.3, -0.5])


def test_another_encoding_is_called_unsupported_with_its_topic(tmp_path: Path) -> None:
    with Bag(ros1_bag(tmp_path / 'json.mcap', 'json')) as bag, pytest.raises(BagError) as caught:
        list(bag.samples([STATES]))
    assert f"topic {STATES} is written in 'json', which is not supported" in str(caught.value)
    assert 'damaged' not in str(caught.value)


def test_a_bag_of_ros_1_is_refused_with_the_command_that_converts_it(tmp_path: Path) -> None:
    file = tmp_path / 'old.bag'
    file.write_bytes(b'#ROSBAG V2.0\n')
    with pytest.raises(BagError, match=r'rosbags-convert --src .*old\.bag --dst old'):
        Bag(file)


def test_an_unknown_compression_is_called_unsupported_and_not_damage(tmp_path: Path) -> None:
    path = ros1_bag(tmp_path / 'whole.mcap')
    data = path.read_bytes()
    assert data.count(b'zstd') >= 1
    path.write_bytes(data.replace(b'zstd', b'lzma'))
    with pytest.raises(BagError) as caught:
        Bag(path)
    assert "compression 'lzma' is not supported: must be zstd or lz4" in str(caught.value)
    assert 'damaged' not in str(caught.value)
