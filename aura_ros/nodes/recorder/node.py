# SPDX-License-Identifier: Apache-2.0
"""recorder: records the graph to a rosbag2 bag (MCAP) for replay and training.

The node follows the graph: it records what vla_node, the memory nodes, policy_switch_node and sim_node publish and
subscribe. It subscribes to each topic when its first publisher appears, with the quality of service that the publishers
offer. It takes the messages serialised. A thread behind a bounded queue writes the file: if the disk is too
slow, messages are dropped, images first, and the graph is not delayed.

Executor thread, except for the file. Log times are on the ROS clock, like the stamps, so that a bag of a simulation has
one time. Each log time is at least 1 ns after the one before, so that messages keep their order of arrival.
"""

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rclpy.serialization import deserialize_message
from rclpy.topic_endpoint_info import TopicEndpointInfo

from aura_ros.common.errors import AuraError, ConfigError
from aura_ros.msg import VlaStep
from aura_ros.nodes.recorder.coverage import Coverage
from aura_ros.nodes.recorder.graph_topics import GraphTopics, graph_topics, offer, type_hash, wanted
from aura_ros.nodes.recorder.notes import BACKBONE_HASHES, DROPPED, ParameterSurvey, as_text, provenance
from aura_ros.recordings.type_names import CAMERA_TYPES
from aura_ros.recordings.types import PARAMETERS, WARNINGS, Offer
from aura_ros.ros.diagnostics import ERROR, OK, WARN, Diagnostics, Faults, Status
from aura_ros.ros.entities import EntityOwner
from aura_ros.ros.graph import TopicView, message_class
from aura_ros.ros.lifecycle import PlainNode, run
from aura_ros.ros.parameters import ParameterSet, parameter, strings
from aura_ros.ros.topics import check_topic
from aura_ros.ros.watch import Watch

if TYPE_CHECKING:
    from aura_ros.recordings.writer import Recording

_LOOK_S, _ASK_S = 0.1, 1.0
_DEPTH, _IMAGE_DEPTH = 200, 30
# Most messages that wait for the first /clock [1].
_EARLY = 1000
# Longest waits at the end, for last messages of other nodes and then for the file [s, steady clock].
_LAST_MESSAGES_S, _CLOSE_S = 0.7, 1.2
_MIB = 1 << 20


@dataclass(frozen=True)
class RecorderConfig:
    """Parameters of recorder."""

    path: str = parameter('aura_recording', 'Folder of the bag; if it exists, PATH-2 and so on is used', at_start=True)
    images: bool = parameter(True, 'Record the cameras too')
    compression: str = parameter('none', 'Compression of the file, chunk by chunk', choices=('none', 'zstd'))
    more_topics: tuple[str, ...] = strings('Topics of any installed type that no node of the graph uses')
    queue_mib: int = parameter(
        64, 'Size of the write queue; messages that do not fit are dropped and counted', unit='MiB', low=1, high=4096
    )


@dataclass(frozen=True)
class _Topic:
    type: str
    watch: Watch
    offers: set[Offer]


class Recorder(PlainNode):
    """Records the graph."""

    def __init__(self, **kwargs: Any) -> None:
        """Create the bag and start recording.

        Raises:
            ConfigError: a parameter is not allowed, the folder cannot be created, or rosbags is not installed.
        """
        super().__init__('recorder', **kwargs)
        config = ParameterSet(self, RecorderConfig).read()
        for topic in config.more_topics:
            check_topic('more_topics', topic)
        self.recording = _create(config)
        self._open = True
        self._config = config
        self._graph = TopicView(self)
        self._used = GraphTopics()
        self._topics: dict[str, _Topic] = {}
        self._received: Counter[str] = Counter()
        self._refused: dict[str, str] = {}
        self._coverage = Coverage(config.images, time.monotonic())
        self._backbone_hashes: set[str] = set()
        self._early: list[tuple[str, bytes]] = []
        self._newest_ns = 0
        self._survey = ParameterSurvey(self)
        self._entities = EntityOwner(self)
        self._entities.timer(_LOOK_S, self._look)
        self._entities.timer(_ASK_S, self._ask)
        self._drops = Faults('no message was dropped')
        self._dropped_before = 0
        self.recording.note(provenance())
        self.diagnostics = Diagnostics(self, hardware_id='recorder')
        self.diagnostics.add('recording', self._status)
        self._look()
        self.get_logger().info(f'recording to {self.recording.path}')

    def teardown(self) -> None:
        """Record the last messages of other nodes, then complete the file."""
        if not self._open:
            return
        self._open = False
        self.diagnostics.remove('recording')
        end = time.monotonic() + _LAST_MESSAGES_S
        while self.executor is not None and self._other_publishers() and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)
        self._entities.destroy()
        self._survey.end()
        self._check(ended=True)
        for recorded in self._topics.values():
            recorded.watch.close()
        self._note()
        recording = self.recording
        if not recording.close(_CLOSE_S):
            self.get_logger().error(recording.problem or f'{recording.path} was not completed in time')
        elif recording.path.exists():
            written, dropped = sum(recording.written.values()), sum(recording.dropped.values())
            self.get_logger().info(f'{recording.path}: {written} messages, {dropped} dropped')
        else:
            self.get_logger().info(f'{recording.path}: no messages, removed')

    def _other_publishers(self) -> int:
        """Number of publishers of recorded topics, without diagnostics and logs."""
        return sum(
            len(self._graph.publishers(topic))
            for topic in self._topics
            if topic not in ('/diagnostics', '/rosout', '/parameter_events')
        )

    def _look(self) -> None:
        """Subscribe to new topics, and follow changes of the publishers' quality of service."""
        # What the graph used stays wanted: a node that is started again uses the same topics.
        self._used = _merged(self._used, graph_topics(self))
        topics = wanted(self, self._used, self._config.more_topics, self._config.images)
        found = {topic: self._graph.publishers(topic) for topic in topics.keys() | self._topics.keys()}
        for topic, type_name in topics.items():
            if found[topic] and topic not in self._topics and topic not in self._refused:
                self._watch(topic, type_name, found[topic])
        for topic, recorded in self._topics.items():
            recorded.watch.match(found[topic])
            if not recorded.offers.issuperset(offers := [offer(one) for one in found[topic]]):
                recorded.offers.update(offers)
                self.recording.topic(topic, recorded.type, offers)
        if self._open:
            counts = {topic: (recorded.type, recorded.watch.publishers) for topic, recorded in self._topics.items()}
            for text in self._coverage.look(counts, time.monotonic()):
                self.get_logger().warning(text)

    def _watch(self, topic: str, type_name: str, publishers: list[TopicEndpointInfo]) -> None:
        image, offers = type_name in CAMERA_TYPES, [offer(one) for one in publishers]
        try:
            kind = message_class(type_name)
            self.recording.topic(topic, type_name, offers, type_hash(publishers[0]))
        except AuraError as error:
            self._refused[topic] = str(error)
            self._coverage.refuse(str(error))
            self.get_logger().error(str(error))
            return
        take, depth = partial(self._on_message, topic, image), _IMAGE_DEPTH if image else _DEPTH
        watch = Watch(self._graph, topic, kind, take, raw=True, depth=depth)
        self._topics[topic] = _Topic(type_name, watch, set(offers))

    def _on_message(self, topic: str, image: bool, data: bytes, _: int) -> None:
        now_ns = self.get_clock().now().nanoseconds
        if now_ns == 0:  # a latched message before the first /clock
            if len(self._early) < _EARLY:
                self._early.append((topic, data))
            return
        early, self._early = self._early, []
        for waited, message in early:
            self._put(waited, now_ns, message, False)
        self._put(topic, now_ns, data, image)

    def _put(self, topic: str, now_ns: int, data: bytes, image: bool) -> None:
        self._newest_ns = max(now_ns, self._newest_ns + 1)
        self._received[topic] += self.recording.put(topic, self._newest_ns, data, spare=image)
        if topic == self.resolve_topic_name('vla_step'):
            self._backbone_hashes.add(deserialize_message(data, VlaStep).backbone_hash)

    def _ask(self) -> None:
        self._survey.look()
        self._check(ended=False)
        self._note()

    def _check(self, ended: bool) -> None:
        for text in self._coverage.check(self._used, self._received, time.monotonic(), ended):
            self.get_logger().error(text)

    def _note(self) -> None:
        own = {name: value.value for name, value in self.get_parameters_by_prefix('').items()}
        nodes = {**self._survey.found, self.get_fully_qualified_name(): own}
        self.recording.note(
            {
                PARAMETERS: as_text(nodes),
                BACKBONE_HASHES: as_text(sorted(filter(None, self._backbone_hashes))),
                DROPPED: as_text(dict(self.recording.dropped)),
                WARNINGS: as_text(self._coverage.warnings),
            }
        )

    def _status(self) -> Status:
        recording = self.recording
        dropped = sum(recording.dropped.values())
        values = {
            'path': recording.path,
            'topics': len(self._topics),
            'messages': sum(recording.written.values()),
            'waiting [MiB]': f'{recording.waiting_bytes / _MIB:.1f}',
            **{f'dropped of {topic}': count for topic, count in sorted(recording.dropped.items())},
        }
        if recording.problem:
            return Status(ERROR, recording.problem, values)
        if dropped > self._dropped_before:
            text = f'{dropped} messages so far: the disk is too slow; record fewer topics or compress the images'
            self._drops.add('dropped', text, dropped - self._dropped_before)
            self.get_logger().warning(f'dropped: {text}', throttle_duration_sec=5.0)
            self._dropped_before = dropped
        found = self._drops.status()
        lost = [*self._refused.values(), *self._coverage.missing]
        lost += [f'{topic} vanished' for topic in self._coverage.gone]
        if found.level == OK and lost:
            return Status(WARN, f'not recorded: {"; ".join(lost)}', values, news=frozenset(lost))
        return Status(found.level, found.message, values)


def _merged(before: GraphTopics, now: GraphTopics) -> GraphTopics:
    return GraphTopics(before.nodes | now.nodes, before.published | now.published, before.subscribed | now.subscribed)


def _create(config: RecorderConfig) -> 'Recording':
    try:
        # imported here, because only this node needs rosbags
        from aura_ros.recordings.writer import Recording, free_path
    except ImportError as error:
        raise ConfigError(f'{error}: recording needs rosbags: pip install "aura_ros[replay]"') from error
    path = free_path(Path(config.path).expanduser())
    return Recording(path, config.queue_mib * _MIB, compress=config.compression == 'zstd')


def main(args: list[str] | None = None) -> int:
    """Run the recorder until SIGINT or SIGTERM."""
    return run(Recorder, args)
