# SPDX-License-Identifier: Apache-2.0
"""Recordings that are cut off, damaged, empty or foreign: a partial reading, or an error of one sentence."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.writer import Writer as McapWriter
from recordings import BEGIN_NS, COMMANDS, FRONT, INSTRUCTION, MS, STATES, WRIST, record_robot, recording, robot_bag

from aura_ros.common.errors import BagError
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.types import Sample

TOPICS = (COMMANDS, FRONT, INSTRUCTION, STATES, WRIST)
_SUMMARY_MAGIC = b'\x89MCAP0\r\n'


def storage_file(folder: Path) -> Path:
    (found,) = (path for path in folder.iterdir() if path.name != 'metadata.yaml')
    return found


def refusal(path: Path) -> str:
    with pytest.raises(BagError) as caught:
        Bag(path)
    text = str(caught.value)
    assert '\n' not in text
    return text


def read(path: Path) -> tuple[list[Sample], str]:
    with Bag(path) as bag:
        recorded = [topic.name for topic in bag.topics]
        samples = list(bag.samples([topic for topic in TOPICS if topic in recorded]))
        return samples, bag.partial


def key(sample: Sample) -> tuple[str, int, int]:
    return sample.topic, sample.log_ns, sample.stamp_ns


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One storage file of each form, long enough for several chunks and pages."""
    folder, found = tmp_path_factory.mktemp('whole'), {}
    for storage, compression in (('mcap', ''), ('mcap', 'storage'), ('sqlite3', ''), ('sqlite3', 'message')):
        name = f'{storage}_{compression or "plain"}'
        with recording(folder / name, storage=storage, compression=compression) as recorder:
            for tick in range(60):
                recorder.joints(STATES, tick * 50, [tick, 0, 0])
                noise = np.random.default_rng(tick).integers(0, 255, 60_000, np.uint8)
                recorder.write(
                    FRONT,
                    recorder.make(
                        'sensor_msgs/msg/Image',
                        stamp=tick * 50 + 1,
                        height=100,
                        width=200,
                        encoding='rgb8',
                        is_bigendian=0,
                        step=600,
                        data=noise,
                    ),
                    tick * 50 + 1,
                )
        found[name] = storage_file(folder / name)
    return found


FORMS = ('mcap_plain', 'mcap_storage', 'sqlite3_plain', 'sqlite3_message')


@pytest.mark.parametrize('form', FORMS)
def test_a_file_cut_off_anywhere_gives_its_beginning_or_an_error(
    whole: dict[str, Path], tmp_path: Path, form: str
) -> None:
    everything, _ = read(whole[form])
    data = whole[form].read_bytes()
    file = tmp_path / whole[form].name
    lengths = []
    for size in np.linspace(0, len(data) - 1, 60).astype(int):
        file.write_bytes(data[:size])
        try:
            found, partial = read(file)
        except BagError as error:
            assert '\n' not in str(error)
            lengths.append(0)
            continue
        assert partial
        assert list(map(key, found)) == list(map(key, everything))[: len(found)]
        lengths.append(len(found))
    # Of three quarters of a file much is there: recorders write as they go.
    assert lengths[45] > 0.5 * len(everything)
    assert lengths == sorted(lengths), 'more of a file must not give less'


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_flipped_bytes_cause_no_crash_and_no_wrong_order(whole: dict[str, Path], tmp_path: Path, data: Any) -> None:
    form = data.draw(st.sampled_from(FORMS))
    content = bytearray(whole[form].read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        # Half of them in the head and the index, where they do most.
        near = data.draw(st.sampled_from((len(content), 4096)))
        at = data.draw(st.integers(0, near - 1))
        content[at if data.draw(st.booleans()) else len(content) - 1 - at] ^= data.draw(st.integers(1, 255))
    file = tmp_path / whole[form].name
    file.write_bytes(content)
    try:
        found, _ = read(file)
    except BagError as error:
        assert '\n' not in str(error)
        return
    times = [sample.log_ns for sample in found]
    assert times == sorted(times)


def test_an_mcap_without_index_is_read_completely(whole: dict[str, Path], tmp_path: Path) -> None:
    for form in ('mcap_plain', 'mcap_storage'):
        everything, _ = read(whole[form])
        data = whole[form].read_bytes()
        summary = int.from_bytes(data[-28:-20], 'little')
        file = tmp_path / 'bag.mcap'
        file.write_bytes(data[:summary])
        found, partial = read(file)
        assert list(map(key, found)) == list(map(key, everything))
        assert partial == 'bag.mcap: the index is missing; all messages were found without it'


def test_a_damaged_chunk_loses_only_its_own_messages(tmp_path: Path) -> None:
    file = tmp_path / 'bag.mcap'
    with file.open('wb') as out:
        writer = McapWriter(out, chunk_size=200)
        writer.start(profile='ros2')
        schema = writer.register_schema('std_msgs/msg/UInt8', 'ros2msg', b'uint8 data')
        channel = writer.register_channel('/count', 'cdr', schema)
        for at in range(200):
            writer.add_message(channel, at + 1, b'\0\1\0\0' + bytes([at]), at + 1)
        writer.finish()
    data = bytearray(file.read_bytes())
    with file.open('rb') as whole_file:
        summary = make_reader(whole_file).get_summary()
    assert summary is not None
    chunk = summary.chunk_indexes[len(summary.chunk_indexes) // 2]
    data[chunk.chunk_start_offset + chunk.chunk_length - 3] ^= 255
    file.write_bytes(data)
    with Bag(file) as bag:
        found = [sample.message.data for sample in bag.samples(['/count'])]
        assert bag.partial == 'bag.mcap: 1 damaged parts were skipped'
    assert 180 < len(found) < 200
    assert found == sorted(set(found))


def test_one_file_of_a_split_bag_may_be_damaged(whole: dict[str, Path], tmp_path: Path) -> None:
    folder = robot_bag(tmp_path / 'bag')
    (folder / 'metadata.yaml').unlink()
    (folder / 'bag_1.mcap').write_bytes(whole['mcap_plain'].read_bytes()[:60])
    found, partial = read(folder)
    assert len(found) == 321
    assert 'bag_1.mcap: ends before its first whole message' in partial


def test_messages_that_cannot_be_decoded_are_counted(tmp_path: Path) -> None:
    with recording(tmp_path / 'bag') as recorder:
        record_robot(recorder)
        recorder.raw(STATES, 'sensor_msgs/msg/JointState', b'\0\1\0\0\1\2\3', 5000)
    found, partial = read(tmp_path / 'bag')
    assert len(found) == 321
    assert partial == f'1 messages of {STATES} could not be decoded'


def test_a_bag_without_messages_is_refused_with_its_topics(tmp_path: Path) -> None:
    for storage in ('mcap', 'sqlite3'):
        with recording(tmp_path / storage, storage=storage) as recorder:
            recorder.raw(STATES, 'sensor_msgs/msg/JointState', b'', 0)
        with recording(tmp_path / f'{storage}0', storage=storage):
            pass
        shutil.rmtree(tmp_path / storage)
        with recording(tmp_path / storage, storage=storage) as recorder:
            recorder.writer.add_connection(STATES, 'sensor_msgs/msg/JointState', typestore=_types())
        assert f'holds no message ({STATES}): check that the topics were published' in refusal(tmp_path / storage)
        assert 'holds no message (no topic)' in refusal(tmp_path / f'{storage}0')


def test_an_undefined_type_is_refused_only_when_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / 'bag.mcap'
    with file.open('wb') as out:
        writer = McapWriter(out)
        writer.start(profile='ros2')
        for topic, kind, encoding, text in (
            ('/known', 'std_msgs/msg/UInt8', 'ros2msg', b'uint8 data'),
            ('/none', 'acme_msgs/msg/Hand', '', b''),
            ('/half', 'acme_msgs/msg/Leg', 'ros2msg', b'acme_msgs/Foot foot'),
            ('/bad', 'acme_msgs/msg/Toe', 'ros2msg', b'\xff\xfe int['),
            ('/service', 'acme_msgs/srv/Ask_Event', 'ros2msg', b'uint8 a\n---\nuint8 b'),
        ):
            schema = writer.register_schema(kind, encoding, text)
            writer.add_message(writer.register_channel(topic, 'cdr', schema), 7, b'\0\1\0\0\5', 7)
        writer.finish()
    with Bag(file) as bag:
        (sample,) = bag.samples(['/known'])
        assert sample.message.data == 5
        for topic in ('/none', '/half', '/bad', '/service'):
            with pytest.raises(BagError, match=f'topic {topic}') as caught:
                list(bag.samples(['/known', topic]))
            assert 'remove the topic from the mapping' in str(caught.value) and '\n' not in str(caught.value)


def test_a_standard_type_with_a_truncated_definition_is_read_by_the_standard(tmp_path: Path) -> None:
    file = tmp_path / 'bag.mcap'
    with file.open('wb') as out:
        writer = McapWriter(out)
        writer.start(profile='ros2')
        schema = writer.register_schema('std_msgs/msg/ColorRGBA', 'ros2msg', b'float32 r')
        channel = writer.register_channel('/colour', 'cdr', schema)
        writer.add_message(channel, 7, b'\0\1\0\0' + np.arange(4, dtype='<f4').tobytes(), 7)
        writer.finish()
    with Bag(file) as bag:
        (sample,) = bag.samples(['/colour'])
        assert sample.message.a == 3.0


def test_other_serialisations_are_refused_only_when_they_are_read(tmp_path: Path) -> None:
    file = tmp_path / 'mixed.mcap'
    with file.open('wb') as out:
        writer = McapWriter(out)
        writer.start(profile='')
        for topic, message_encoding, encoding in (
            ('/ros', 'cdr', 'ros2msg'),
            ('/web', 'json', 'jsonschema'),
            ('/proto', 'protobuf', 'protobuf'),
        ):
            schema = writer.register_schema('std_msgs/msg/UInt8', encoding, b'uint8 data')
            writer.add_message(writer.register_channel(topic, message_encoding, schema), 7, b'\0\1\0\0\5', 7)
        writer.finish()
    with Bag(file) as bag:
        assert [sample.message.data for sample in bag.samples(['/ros'])] == [5]
        with pytest.raises(
            BagError, match="topic /web is written in 'json', which is not supported: must be cdr or ros1"
        ):
            list(bag.samples(['/web']))


@pytest.mark.parametrize(
    ('name', 'content', 'text'),
    [
        ('a.mcap', b'', 'a.mcap is empty (0 bytes)'),
        ('a.db3', b'', 'a.db3 is empty (0 bytes)'),
        ('a.mcap', b'hello, hello', 'is not an MCAP file'),
        ('a.mcap', _SUMMARY_MAGIC, 'ends before its first whole message'),
        ('a.db3', b'hello, hello', 'is not a readable rosbag2 database'),
        ('a.mcap.zstd', b'hello, hello', 'is not a complete zstd file'),
        ('a.mcap', b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n', 'run git lfs pull'),
        ('a.bag', b'#ROSBAG V2.0\n', 'is not a recording: must be a rosbag2 folder'),
    ],
)
def test_a_path_that_is_not_a_recording_is_refused(tmp_path: Path, name: str, content: bytes, text: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert text in refusal(tmp_path / name)


def test_a_missing_path_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / 'none') == f'{tmp_path}/none does not exist'
    assert 'it contains no .mcap or .db3 file' in refusal(tmp_path)


def test_a_closed_bag_removes_its_unpacked_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = robot_bag(tmp_path / 'bag', compression='file')
    (tmp_path / 'tmp').mkdir()
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / 'tmp'))
    with Bag(folder) as bag:
        assert list((tmp_path / 'tmp').iterdir())
        assert next(bag.samples([INSTRUCTION])).log_ns == BEGIN_NS + 0 * MS
    assert not list((tmp_path / 'tmp').iterdir())


def _types() -> Any:
    from aura_ros.recordings.message_types import standard_types

    return standard_types('kilted')
