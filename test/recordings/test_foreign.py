# SPDX-License-Identifier: Apache-2.0
"""Properties seen in public bags, generated here: each is read, or refused topic by topic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from recordings import BEGIN_NS, STATES, recording, robot_bag

from aura_ros.common.errors import BagError
from aura_ros.recordings.bags import Bag
from aura_ros.replay.steps.checks import topic_types
from aura_ros.replay.steps.mapping import JointStream, Mapping

BYTE = b'\0\1\0\0\5'


def mcap(path: Path, topics: list[tuple[str, str, bytes]], profile: str = 'ros2', **options: object) -> Path:
    with path.open('wb') as out:
        writer = McapWriter(out, **options)  # type: ignore[arg-type]
        writer.start(profile=profile)
        for topic, kind, definition in topics:
            schema = writer.register_schema(kind, 'ros2msg' if definition else '', definition)
            writer.add_message(writer.register_channel(topic, 'cdr', schema), 7, BYTE, 7)
        writer.finish()
    return path


def test_short_type_names_are_completed(tmp_path: Path) -> None:
    with Bag(mcap(tmp_path / 'a.mcap', [('/x', 'std_msgs/UInt8', b'uint8 data')])) as bag:
        assert bag.topics[0].type == 'std_msgs/msg/UInt8'
        assert next(bag.samples(['/x'])).message.data == 5


def test_topics_need_no_leading_slash(tmp_path: Path) -> None:
    with Bag(mcap(tmp_path / 'a.mcap', [('x', 'std_msgs/msg/UInt8', b'uint8 data')])) as bag:
        assert next(bag.samples(['x'])).message.data == 5


def test_other_topics_are_read_beside_service_events(tmp_path: Path) -> None:
    event = ('/ask/_service_event', 'acme/srv/Ask_Event', b'int64 a\n---\nint64 b')
    file = mcap(tmp_path / 'a.mcap', [('/x', 'std_msgs/msg/UInt8', b'uint8 data'), event])
    with Bag(file) as bag:
        assert next(bag.samples(['/x'])).message.data == 5
        with pytest.raises(BagError, match='definition of acme/srv/Ask_Event in the bag cannot be used'):
            list(bag.samples(['/ask/_service_event']))


@pytest.mark.parametrize('compression', list(CompressionType))
@pytest.mark.parametrize('profile', ['ros2', '', 'x-other'])
def test_every_compression_and_profile_of_mcap(tmp_path: Path, compression: CompressionType, profile: str) -> None:
    file = mcap(tmp_path / 'a.mcap', [('/x', 'std_msgs/msg/UInt8', b'uint8 data')], profile, compression=compression)
    with Bag(file) as bag:
        assert next(bag.samples(['/x'])).message.data == 5
        assert bag.partial == ''


@pytest.mark.parametrize(
    'options',
    [
        {'use_summary_offsets': False},
        {'use_statistics': False},
        {'repeat_channels': False, 'repeat_schemas': False},
        {'index_types': 0},
        {'use_chunking': False},
    ],
)
def test_every_part_of_an_mcap_summary_may_be_missing(tmp_path: Path, options: dict[str, object]) -> None:
    from mcap.writer import IndexType

    if 'index_types' in options:
        options = {'index_types': IndexType.NONE}
    file = mcap(tmp_path / 'a.mcap', [('/x', 'std_msgs/msg/UInt8', b'uint8 data')], **options)
    with Bag(file) as bag:
        assert [sample.message.data for sample in bag.samples(['/x'])] == [5]
        assert (bag.topics[0].count, bag.begin_ns, bag.end_ns, bag.partial) == (1, 7, 8, '')


def test_one_topic_may_have_two_publishers_and_two_types(tmp_path: Path) -> None:
    file = mcap(
        tmp_path / 'a.mcap', [('/x', 'std_msgs/msg/UInt8', b'uint8 data'), ('/x', 'std_msgs/msg/Int8', b'int8 data')]
    )
    with Bag(file) as bag:
        assert [(topic.name, topic.type, topic.count) for topic in bag.topics] == [
            ('/x', 'std_msgs/msg/Int8', 1),
            ('/x', 'std_msgs/msg/UInt8', 1),
        ]
        assert len(list(bag.samples(['/x']))) == 2
        with pytest.raises(BagError, match='has messages of several types on /x'):
            topic_types(bag, Mapping({'front': '/x'}, (JointStream('/x'),)))


@pytest.mark.parametrize('version', range(1, 10))
def test_metadata_of_every_version(tmp_path: Path, version: int) -> None:
    folder = robot_bag(tmp_path / 'bag', storage='sqlite3')
    path = folder / 'metadata.yaml'
    about = yaml.safe_load(path.read_text())['rosbag2_bagfile_information']
    about['version'] = version
    if version < 4:
        about['relative_file_paths'] = [f'bag/{name}' for name in about['relative_file_paths']]
    for key, since in (('compression_mode', 3), ('files', 5), ('custom_data', 6), ('ros_distro', 8)):
        if version < since:
            about.pop(key, None)
    path.write_text(yaml.safe_dump({'rosbag2_bagfile_information': about}))
    with Bag(folder) as bag:
        assert sum(1 for _ in bag.samples([STATES])) == 200
        assert bag.partial == ''


def test_a_recorder_that_sorts_by_publication_may_log_out_of_order(tmp_path: Path) -> None:
    times = [50, 10, 40, 20, 30, 60]
    for storage in ('mcap', 'sqlite3'):
        with recording(tmp_path / storage, storage=storage) as recorder:
            for at in times:
                recorder.joints(STATES, at, np.zeros(3))
        with Bag(tmp_path / storage) as bag:
            assert [(one.log_ns - BEGIN_NS) // 10**6 for one in bag.samples([STATES])] == sorted(times)
