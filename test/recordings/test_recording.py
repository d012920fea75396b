# SPDX-License-Identifier: Apache-2.0
"""Writing a bag: order, notes, a bounded queue, a failing disk, a killed process."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import cpu_wait
import pytest
import yaml
from cpu_wait import CpuWait

pytest.importorskip('rosbags', reason='the replay extra is not installed')

from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader

from aura_ros.common.errors import BagError, ConfigError
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.message_types import standard_types
from aura_ros.recordings.types import Offer
from aura_ros.recordings.writer import NOTES, Recording, free_path

STRING = 'std_msgs/msg/String'
MIB = 1 << 20


def text(words):
    types = standard_types('kilted')
    return bytes(types.serialize_cdr(types.types[STRING](data=words), STRING))


def words(path):
    with Bag(path) as bag:
        samples = bag.samples(topic.name for topic in bag.topics)
        return [(sample.topic, sample.log_ns, sample.message.data) for sample in samples]


@pytest.mark.parametrize('compress', [False, True])
def test_messages_are_read_back_in_order(tmp_path, compress):
    recording = Recording(tmp_path / 'bag', MIB, compress)
    recording.topic('/a', STRING)
    recording.topic('/b', STRING)
    written = [(('/a', '/b')[i % 2], 1_000 + i, f'{i}') for i in range(5_000)]
    for topic, log_ns, what in written:
        assert recording.put(topic, log_ns, text(what))
    recording.note({'aura_ros/versions': 'first'})
    recording.note({'aura_ros/versions': 'python: 3.11'})
    assert recording.close(30.0)
    assert words(tmp_path / 'bag') == written
    assert recording.written == {'/a': 2500, '/b': 2500} and not recording.dropped
    with Bag(tmp_path / 'bag') as bag:
        assert bag.metadata == {'aura_ros/versions': 'python: 3.11'} and not bag.partial


def test_an_existing_folder_is_not_changed(tmp_path):
    (tmp_path / 'bag').mkdir()
    with pytest.raises(ConfigError, match='bag'):
        Recording(tmp_path / 'bag', MIB)
    assert free_path(tmp_path / 'bag') == tmp_path / 'bag-2'
    (tmp_path / 'bag-2').touch()
    assert free_path(tmp_path / 'bag') == tmp_path / 'bag-3'
    assert free_path(tmp_path / 'other') == tmp_path / 'other'


def test_a_recording_without_messages_is_removed(tmp_path):
    recording = Recording(tmp_path / 'bag', MIB)
    recording.topic('/a', STRING)
    recording.note({'aura_ros/versions': 'any'})
    assert recording.close(30.0)
    assert not (tmp_path / 'bag').exists()


def test_an_unknown_type_is_refused_by_name(tmp_path):
    recording = Recording(tmp_path / 'bag', MIB)
    with pytest.raises(BagError, match='/odd is of type no_such_msgs/msg/Thing'):
        recording.topic('/odd', 'no_such_msgs/msg/Thing')
    recording.close(30.0)


def test_offers_are_stored_once_each_also_those_of_later_publishers(tmp_path):
    recording = Recording(tmp_path / 'bag', MIB)
    latched, volatile = Offer('reliable', 'transient_local'), Offer('best_effort', 'volatile', lease_ns=80_000_000)
    recording.topic('/a', STRING, [latched, latched])
    recording.put('/a', 1, text('x'))
    for _ in range(3):
        recording.topic('/a', STRING, [volatile, latched])
    for number in range(1000):
        recording.topic('/a', STRING, [Offer('reliable', 'volatile', deadline_ns=number)])
    assert recording.close(30.0)
    metadata = yaml.safe_load((tmp_path / 'bag/metadata.yaml').read_text())['rosbag2_bagfile_information']
    (topic,) = metadata['topics_with_message_count']
    first, second, *others = topic['topic_metadata']['offered_qos_profiles']
    forever = {'sec': 9223372036, 'nsec': 854775807}
    assert first == {
        'history': 'unknown',
        'depth': 0,
        'reliability': 'reliable',
        'durability': 'transient_local',
        'deadline': forever,
        'lifespan': forever,
        'liveliness': 'automatic',
        'liveliness_lease_duration': forever,
        'avoid_ros_namespace_conventions': False,
    }
    assert second['reliability'] == 'best_effort' and second['liveliness_lease_duration'] == {
        'sec': 0,
        'nsec': 80_000_000,
    }
    assert len(others) == 62
    with Reader(tmp_path / 'bag') as reader:
        (inside,) = reader.connections
    assert inside.ext.offered_qos_profiles[0].durability == QosDurability.TRANSIENT_LOCAL


def test_messages_that_do_not_fit_are_dropped_and_counted_images_first(tmp_path):
    recording = Recording(tmp_path / 'bag', 80_000)
    recording.topic('/a', STRING)
    with recording._changed:  # the disk stands still: the writer waits for this lock
        big = text('x' * 10_000)
        images = [recording.put('/image', 1 + i, big, spare=True) for i in range(10)]
        others = [recording.put('/a', 100 + i, text('y' * 1000)) for i in range(20)]
        assert images == [True] * 6 + [False] * 4  # of seven eighths
        assert others == [True] * 19 + [False]
        assert recording.waiting_bytes <= 80_000
        recording._queue = type(recording._queue)(
            item for item in recording._queue if getattr(item, 'topic', '') != '/image'
        )
    assert recording.dropped == {'/image': 4, '/a': 1}
    assert recording.close(30.0)


def test_a_disk_that_fails_ends_the_recording_and_not_the_caller(tmp_path, monkeypatch):
    recording = Recording(tmp_path / 'bag', MIB)
    recording.topic('/a', STRING)
    recording.put('/a', 1, text('kept'))
    writes = recording._writer.write

    def full(connection, log_ns, data):
        if log_ns > 1:
            recording._flush()
            raise OSError(28, 'No space left on device')
        writes(connection, log_ns, data)

    monkeypatch.setattr(recording._writer, 'write', full)
    recording.put('/a', 2, text('lost'))
    recording._thread.join(30.0)
    assert 'No space left on device' in recording.problem
    assert not recording.put('/a', 3, text('lost, too'))
    assert not recording.close(1.0)
    assert words(tmp_path / 'bag') == [('/a', 1, 'kept')]


KILLED = """
import sys, time
from pathlib import Path
from aura_ros.recordings.writer import Recording
sys.path += sys.argv[2:]
from test_recording import STRING, text
recording = Recording(Path(sys.argv[1]), 1 << 24)
recording.topic('/a', STRING)
recording.note({'aura_ros/parameters': 'gate: 0.5'})
count = 0
while True:
    recording.put('/a', 1 + count, text(str(count)))
    count += 1
    if count % 100 == 0:
        print(count, flush=True)
        time.sleep(0.02)
"""


def test_a_kill_loses_at_most_the_last_second(tmp_path):
    """The messages of more than a second and a half before the kill are all there, and what was noted is.

    Time in which the writer has no processor does not count.
    """
    folders = [str(Path(__file__).parent), str(Path(cpu_wait.__file__).parent)]
    process = subprocess.Popen(
        [sys.executable, '-c', textwrap.dedent(KILLED), str(tmp_path / 'bag'), *folders],
        stdout=subprocess.PIPE,
        text=True,
    )
    reports, wait = [], CpuWait(process.pid)
    for line in process.stdout:
        reports.append((time.monotonic(), int(line), wait.seconds))
        if reports[-1][0] - reports[0][0] > 4.0:
            break
    waited_s = wait.seconds
    process.send_signal(signal.SIGKILL)
    killed_at = time.monotonic()
    process.wait()
    process.stdout.close()
    found = [int(what) for _, _, what in words(tmp_path / 'bag')]
    assert found == list(range(len(found))), 'a gap or a mess'
    safe = max((count for at, count, before in reports if at < killed_at - 1.5 - (waited_s - before)), default=0)
    assert len(found) >= safe
    with Bag(tmp_path / 'bag') as bag:
        assert 'metadata.yaml is missing' in bag.partial
    assert yaml.safe_load((tmp_path / 'bag' / NOTES).read_text()) == {'aura_ros/parameters': 'gate: 0.5'}
