# SPDX-License-Identifier: Apache-2.0
"""recorder: what goes through the graph into a rosbag2 bag in MCAP, for the replay and for training.

It subscribes to each topic as soon as somebody publishes it, with the strictest quality of service that all publishers
serve, and takes the messages serialised as they are. The file is written by a thread behind a queue of bounded size:
a disk that is too slow costs messages of the recording, images first, and never the graph's time.

Executor thread, but for the file. Log times are on the ROS clock, like the stamps, so that a bag of a simulation has
one time; each is at least 1 ns later than the one before, so that messages keep the order in which they came.
"""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.serialization import deserialize_message

from aura_ros.common.errors import AuraError, ConfigError
from aura_ros.msg import VlaStep
from aura_ros.nodes.recorder.notes import BACKBONE_HASHES, DROPPED, PARAMETERS, ParameterSurvey, as_text, provenance
from aura_ros.ros.diagnostics import ERROR, OK, Diagnostics, Faults, Status
from aura_ros.ros.entities import EntityOwner
from aura_ros.ros.graph import TopicGraph, Watch, message_class
from aura_ros.ros.lifecycle import run
from aura_ros.ros.parameters import ParameterSet, parameter, strings

# The instruction first: of all that has arrived it is taken, and so logged, first.
TOPICS = (
    'instruction',
    '/clock',
    'sim/event',
    'joint_states',
    'joint_command',
    'policy_status',
    'aura/write_event',
    'aura/gate',
    'aura/memory_state',
    'kv/gate',
    'kv/cache_status',
    '/diagnostics',
    '/parameter_events',
    '/rosout',
)
# By these others know that somebody listens, and begin: all else is listened to before.
SIGNALS = ('aura/action_chunk', 'kv/action_chunk', 'vla_step')
_LOOK_S, _ASK_S = 0.1, 1.0
_DEPTH, _IMAGE_DEPTH = 200, 30
# What waits for /clock at most [1].
_EARLY = 1000
# How long the last words of the other nodes are waited for when everything ends, and then the file [s, steady clock].
_LAST_WORDS_S, _CLOSE_S = 0.7, 1.2
_MIB = 1 << 20


@dataclass(frozen=True)
class RecorderConfig:
    """Parameters of recorder."""

    path: str = parameter(
        'aura_recording', 'Folder of the bag; where it exists, PATH-2 and so on is taken', at_start=True
    )
    images: bool = parameter(True, 'Record the cameras, too')
    cameras: tuple[str, ...] = strings('Names of the cameras', ('front', 'wrist'))
    compression: str = parameter('none', 'Of the file, by chunks', choices=('none', 'zstd'))
    more_topics: tuple[str, ...] = strings('Further topics, of any type that is installed')
    queue_mib: int = parameter(
        64, 'Most that waits for the disk; what finds no room is dropped and counted', unit='MiB', low=1, high=4096
    )


class Recorder(Node):
    """Records the graph."""

    def __init__(self, **kwargs: object) -> None:
        """Make the bag and begin.

        Raises:
            ConfigError: a parameter cannot be used, the folder cannot be made, or rosbags is not installed.
        """
        super().__init__('recorder', **kwargs)
        config = ParameterSet(self, RecorderConfig).read()
        self.recording = _begin(config)
        raw = [f'camera/{name}/image_raw' for name in config.cameras if config.images]
        images = raw + [f'{topic}/compressed' for topic in raw]
        self._wanted = [*TOPICS, *config.more_topics, *images, *SIGNALS]
        self._graph = TopicGraph(self, None)
        self._watches: dict[str, Watch] = {}
        self._refused: dict[str, str] = {}
        self._backbone_hashes: set[str] = set()
        self._early: list[tuple[str, bytes]] = []
        self._newest_ns = 0
        self._survey = ParameterSurvey(self)
        self._entities = EntityOwner(self)
        self._entities.timer(_LOOK_S, self._look)
        self._entities.timer(_ASK_S, self._ask)
        self._lost = Faults('nothing is lost')
        self._lost_before = 0
        self.recording.note(provenance())
        self.diagnostics = Diagnostics(self, hardware_id='recorder')
        self.diagnostics.add('recording', self._status)
        self._look()
        self.get_logger().info(f'recording to {self.recording.path}')

    def teardown(self) -> None:
        """Hear the last words of the others, then complete the file."""
        if self.recording is None:
            return
        self.diagnostics.remove('recording')
        end = time.monotonic() + _LAST_WORDS_S
        while self.executor is not None and self._speaking() and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)
        self._entities.destroy()
        self._survey.end()
        for watch in self._watches.values():
            watch.close()
        self._note()
        recording, self.recording = self.recording, None
        if recording.close(_CLOSE_S):
            count = sum(recording.written.values())
            said = f'{count} messages, {sum(recording.dropped.values())} dropped'
            self.get_logger().info(f'{recording.path}: {said if recording.path.exists() else "no message, not kept"}')
        else:
            self.get_logger().error(recording.problem or f'{recording.path} was not completed in time')

    def _speaking(self) -> int:
        """How many others still publish what is recorded, diagnostics and logs aside."""
        return sum(
            len(self._graph.publishers(topic))
            for topic in self._watches
            if topic not in ('/diagnostics', '/rosout', '/parameter_events')
        )

    # Topics. --------------------------------------------------------------------------------------
    def _look(self) -> None:
        """Subscribe to what has come up, and follow what the publishers offer."""
        for name in self._wanted:
            topic = self.resolve_topic_name(name)
            if topic in self._watches:
                self._watches[topic].match()
            elif topic not in self._refused:
                publishers = self._graph.publishers(topic)
                if publishers:
                    self._watch(topic, publishers[0].topic_type)

    def _watch(self, topic: str, type_name: str) -> None:
        image = type_name.rsplit('/', 1)[-1] in ('Image', 'CompressedImage')
        try:
            kind = message_class(type_name)
            self.recording.topic(topic, type_name)
        except AuraError as error:
            self._refused[topic] = str(error)
            self.get_logger().error(str(error))
            return
        self._watches[topic] = Watch(
            self._graph,
            topic,
            kind,
            partial(self._heard, topic, image),
            raw=True,
            depth=_IMAGE_DEPTH if image else _DEPTH,
        )

    def _heard(self, topic: str, image: bool, data: bytes, _: int) -> None:
        now_ns = self.get_clock().now().nanoseconds
        if now_ns == 0:  # simulated time that has not begun: an instruction that was latched
            if len(self._early) < _EARLY:
                self._early.append((topic, data))
            return
        early, self._early = self._early, []
        for waited, message in early:
            self._put(waited, now_ns, message, False)
        self._put(topic, now_ns, data, image)

    def _put(self, topic: str, now_ns: int, data: bytes, image: bool) -> None:
        self._newest_ns = max(now_ns, self._newest_ns + 1)
        self.recording.put(topic, self._newest_ns, data, spare=image)
        if topic == self.resolve_topic_name('vla_step'):
            self._backbone_hashes.add(deserialize_message(data, VlaStep).backbone_hash)

    # Notes and diagnostics. -----------------------------------------------------------------------
    def _ask(self) -> None:
        self._survey.look()
        # policy_switch_node's own; a remapping is followed anyway
        named = [values['command_topic'] for values in self._survey.found.values() if 'command_topic' in values]
        self._wanted += [topic for topic in dict.fromkeys(named) if topic not in self._wanted]
        self._note()

    def _note(self) -> None:
        own = {name: value.value for name, value in self.get_parameters_by_prefix('').items()}
        nodes = {**self._survey.found, self.get_fully_qualified_name(): own}
        self.recording.note(
            {
                PARAMETERS: as_text(nodes),
                BACKBONE_HASHES: as_text(sorted(filter(None, self._backbone_hashes))),
                DROPPED: as_text(dict(self.recording.dropped)),
            }
        )

    def _status(self) -> Status:
        recording = self.recording
        dropped = sum(recording.dropped.values())
        values = {
            'path': recording.path,
            'topics': len(self._watches),
            'messages': sum(recording.written.values()),
            'waiting [MiB]': f'{recording.waiting_bytes / _MIB:.1f}',
            **{f'dropped of {topic}': count for topic, count in sorted(recording.dropped.items())},
        }
        if recording.problem:
            return Status(ERROR, recording.problem, values)
        if dropped > self._lost_before:
            text = f'{dropped} messages so far: the disk is too slow for what is recorded'
            self._lost.add('dropped', text, dropped - self._lost_before)
            self.get_logger().warning(f'dropped: {text}', throttle_duration_sec=5.0)
            self._lost_before = dropped
        found = self._lost.status()
        if found.level == OK and self._refused:
            return Status(OK, f'not recorded: {"; ".join(self._refused.values())}', values)
        return Status(found.level, found.message, values)


def _begin(config: RecorderConfig) -> Any:
    try:
        # here, because only a recording needs it
        from aura_ros.recordings.writer import Recording, free_path
    except ImportError as error:
        raise ConfigError(f'{error}: a recording needs rosbags, pip install "aura_ros[replay]"') from error
    path = free_path(Path(config.path).expanduser())
    return Recording(path, config.queue_mib * _MIB, compress=config.compression == 'zstd')


def main(args: list[str] | None = None) -> int:
    """Run recorder until it is told to end."""
    return run(Recorder, args)
