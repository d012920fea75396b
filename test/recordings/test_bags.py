# SPDX-License-Identifier: Apache-2.0
"""Whole recordings in every form of rosbag2: all messages, in order, with the right times."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tracemalloc
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import zstandard
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from recordings import BEGIN_NS, COMMANDS, FRONT, INSTRUCTION, MS, STATES, WRIST, record_robot, recording, robot_bag

from aura_ros.common.errors import BagError
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.message_types import standard_types

TOPICS = {
    COMMANDS: ('trajectory_msgs/msg/JointTrajectory', 40),
    FRONT: ('sensor_msgs/msg/Image', 40),
    INSTRUCTION: ('std_msgs/msg/String', 1),
    STATES: ('sensor_msgs/msg/JointState', 200),
    WRIST: ('sensor_msgs/msg/CompressedImage', 40),
}
FORMS = [(storage, way) for storage in ('mcap', 'sqlite3') for way in ('', 'file', 'message')] + [('mcap', 'storage')]


def storage_file(folder: Path) -> Path:
    (found,) = (path for path in folder.iterdir() if path.name != 'metadata.yaml')
    return found


@pytest.mark.parametrize(('storage', 'compression'), FORMS)
def test_reads_every_form(tmp_path: Path, storage: str, compression: str) -> None:
    with Bag(robot_bag(tmp_path / 'bag', storage=storage, compression=compression, robot='1a2b')) as bag:
        assert {topic.name: (topic.type, topic.count) for topic in bag.topics} == TOPICS
        assert (bag.partial, bag.metadata) == ('', {'robot': '1a2b'})
        samples = list(bag.samples(TOPICS))
    assert len(samples) == 321
    times = [sample.log_ns for sample in samples]
    assert times == sorted(times) and times[0] == BEGIN_NS
    assert (bag.begin_ns, bag.end_ns) == (BEGIN_NS, times[-1] + 1)
    joints = [sample for sample in samples if sample.topic == STATES]
    assert joints[7].stamp_ns == BEGIN_NS + 70 * MS
    np.testing.assert_allclose(joints[7].message.position, [0.07, 1.07, 2.07])


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('packed', [False, True])
def test_reads_a_storage_file_alone(tmp_path: Path, storage: str, packed: bool) -> None:
    file = storage_file(robot_bag(tmp_path / 'bag', storage=storage, robot='1a2b'))
    if packed:
        data = file.read_bytes()
        file = tmp_path / f'{file.name}.zstd'
        file.write_bytes(zstandard.ZstdCompressor().compress(data))
    with Bag(file) as bag:
        assert sum(1 for _ in bag.samples(TOPICS)) == 321
        assert bag.partial == ''
        assert bag.metadata == ({} if packed else {'robot': '1a2b'})


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_range_ends_before_its_end(tmp_path: Path, storage: str) -> None:
    with Bag(robot_bag(tmp_path / 'bag', storage=storage)) as bag:
        times = [sample.log_ns for sample in bag.samples([STATES], BEGIN_NS + 100 * MS, BEGIN_NS + 200 * MS)]
    assert times == [BEGIN_NS + at * MS for at in range(100, 200, 10)]


def test_stamps_come_from_the_header_if_it_has_one(tmp_path: Path) -> None:
    with recording(tmp_path / 'bag') as recorder:
        recorder.image(FRONT, stamp=5, log=30)
        recorder.image(FRONT, stamp=-BEGIN_NS / MS, log=40)
        recorder.text(INSTRUCTION, 'go', 50)
    with Bag(tmp_path / 'bag') as bag:
        found = [((one.stamp_ns - BEGIN_NS) / MS, one.stamped) for one in bag.samples([FRONT, INSTRUCTION])]
    assert found == [(5, True), (40, False), (50, False)]


def test_merges_overlapping_split_files_by_time(tmp_path: Path) -> None:
    folder = tmp_path / 'bag'
    folder.mkdir()
    for number, offset in enumerate((500, 0)):
        with recording(tmp_path / f'part{number}') as recorder:
            for tick in range(0, 600, 10):
                recorder.joints(STATES, offset + tick, [0, 0, 0])
        storage_file(tmp_path / f'part{number}').rename(folder / f'bag_{number}.mcap')
    with Bag(folder) as bag:
        times = [(sample.log_ns - BEGIN_NS) / MS for sample in bag.samples([STATES])]
        assert bag.topics[0].count == 120
        assert 'metadata.yaml is missing' in bag.partial
    assert times == sorted([*range(0, 600, 10), *range(500, 1100, 10)])


def test_names_the_missing_file_of_a_split_bag(tmp_path: Path) -> None:
    folder = robot_bag(tmp_path / 'bag')
    meta = folder / 'metadata.yaml'
    meta.write_text(meta.read_text().replace('- bag.mcap', '- bag.mcap\n  - bag_1.mcap'))
    with Bag(folder) as bag:
        assert bag.partial == '1 of 2 storage files missing: bag_1.mcap'
        assert sum(1 for _ in bag.samples(TOPICS)) == 321


@pytest.mark.parametrize('text', ['', 'rosbag2_bagfile_information: [1', 'a: b', '- 1', '\x00'])
def test_reads_a_bag_without_usable_metadata(tmp_path: Path, text: str) -> None:
    folder = robot_bag(tmp_path / 'bag')
    (folder / 'metadata.yaml').write_text(text)
    with Bag(folder) as bag:
        assert sum(1 for _ in bag.samples(TOPICS)) == 321


def test_reads_the_notes_file_of_an_incomplete_bag(tmp_path: Path) -> None:
    folder = robot_bag(tmp_path / 'bag')
    (folder / 'metadata.yaml').unlink()
    (folder / 'recording.yaml').write_text("backbone_hash: '1234'\n")
    with Bag(folder) as bag:
        assert bag.metadata == {'backbone_hash': '1234'}


def test_reads_a_bag_of_humble_which_has_no_definitions(tmp_path: Path) -> None:
    folder = tmp_path / 'bag'
    with recording(folder, storage='sqlite3', distribution='humble', version=8) as recorder:
        record_robot(recorder)
        recorder.step('/vla_step', 3, 2500, seq=4)
    with closing(sqlite3.connect(storage_file(folder))) as base:
        base.executescript("""
            DROP TABLE message_definitions; DROP TABLE metadata; UPDATE schema SET schema_version = 3;
            ALTER TABLE topics DROP COLUMN type_description_hash; VACUUM""")
    meta = folder / 'metadata.yaml'
    meta.write_text(meta.read_text().replace('version: 8', 'version: 5').replace('ros_distro: rosbags', ''))
    with Bag(folder) as bag:
        assert sum(1 for _ in bag.samples(TOPICS)) == 321
        (step,) = bag.samples(['/vla_step'])
        assert (step.message.seq, step.stamp_ns, bag.partial) == (4, BEGIN_NS + 3 * MS, '')


@pytest.mark.parametrize('distribution', ['humble', 'iron', 'jazzy', 'kilted'])
def test_knows_the_types_of_each_distribution_and_ours(distribution: str) -> None:
    types = standard_types(distribution).types
    assert {'sensor_msgs/msg/JointState', 'aura_ros/msg/VlaStep', 'aura_ros/msg/WriteEvent'} <= types.keys()


def test_sorts_an_mcap_without_chunks_by_time(tmp_path: Path) -> None:
    times = list(np.random.default_rng(1).permutation(500))
    file = tmp_path / 'loose.mcap'
    with file.open('wb') as out:
        writer = McapWriter(out, use_chunking=False, compression=CompressionType.NONE)
        writer.start(profile='ros2')
        schema = writer.register_schema('std_msgs/msg/UInt64', 'ros2msg', b'uint64 data')
        channel = writer.register_channel('/count', 'cdr', schema)
        for at in times:
            data = b'\0\1\0\0' + int(at).to_bytes(8, 'little')
            writer.add_message(channel, int(at) + 1, data, int(at) + 1)
        writer.finish()
    with Bag(file) as bag:
        assert [sample.message.data for sample in bag.samples(['/count'])] == list(range(500))
        assert bag.topics[0].count == 500


def test_an_unknown_topic_is_refused_with_the_recorded_ones(tmp_path: Path) -> None:
    with Bag(robot_bag(tmp_path / 'bag')) as bag, pytest.raises(BagError, match=r'has no topic /cam; it has /arm_c'):
        list(bag.samples(['/cam']))


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_memory_does_not_grow_with_the_length(tmp_path: Path, storage: str) -> None:
    peaks = []
    for images in (60, 600):
        folder = tmp_path / f'{storage}{images}'
        noise = np.random.default_rng(0).integers(0, 255, 60_000, np.uint8)
        with recording(folder, storage=storage) as recorder:
            for number in range(images):
                recorder.write(
                    FRONT,
                    recorder.make(
                        'sensor_msgs/msg/Image',
                        stamp=number,
                        height=100,
                        width=200,
                        encoding='rgb8',
                        is_bigendian=0,
                        step=600,
                        data=noise,
                    ),
                    number,
                )
        with Bag(folder) as bag:
            tracemalloc.start()
            assert sum(1 for _ in bag.samples([FRONT])) == images
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.25 * peaks[0] + 500_000, f'3.6 MB and 36 MB of images took {peaks} bytes'


def test_import_of_bags_loads_no_reader() -> None:
    code = 'import sys, aura_ros.recordings.bags; print({"av", "mcap", "pyarrow", "rosbags"} & sys.modules.keys())'
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == 'set()'
