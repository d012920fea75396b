# SPDX-License-Identifier: Apache-2.0
"""Writes serialised messages to a new MCAP bag, through a queue of bounded size and in a thread of its own.

Threads: the owner calls `topic`, `put` and `note` and never waits. Messages that do not fit in the queue are dropped
and counted. Only the writer's thread uses the file. Clocks: log times are the owner's; flushes use the steady clock.

Crashes: MCAP is a log of chunks. Every second the current chunk is closed and passed to the kernel. A killed process
therefore loses its last second, the index and metadata.yaml. A power cut can also lose what the kernel has not written
yet. The notes are also in recording.yaml beside the bag, which is replaced as a whole at each change.
"""

import shutil
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, WriterError
from rosbags.rosbag2.storage_mcap import McapWriter

from aura_ros.common.errors import BagError, ConfigError
from aura_ros.common.files import replace_text
from aura_ros.recordings.installed_types import InstalledType, installed_type
from aura_ros.recordings.message_types import standard_types
from aura_ros.recordings.types import Offer

NOTES = 'recording.yaml'
"""File with the notes beside the storage file, for a recording that was cut off."""

_FLUSH_S = 1.0
# Share of the queue that is reserved for messages other than images, which are small and cannot be recomputed.
_RESERVED = 0.125
# Most different offers of one topic [1].
_OFFERS = 64
_DISTRIBUTION = 'kilted'
# Packages that were built before Iron have no type hash.
_NO_HASH = f'RIHS01_{"0" * 64}'


@dataclass(frozen=True)
class _Message:
    topic: str
    log_ns: int
    data: bytes


@dataclass(frozen=True)
class _Topic:
    name: str
    type: str
    definition: InstalledType
    offers: tuple[Offer, ...]


def free_path(path: Path) -> Path:
    """Return the path, or PATH-2, PATH-3 and so on if it exists, so that nothing is overwritten."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f'{path.name}-{number}')
    return found


class Recording:
    """A bag that is being written; the module's docstring describes threads, clocks and crashes.

    Attributes:
        path: folder of the bag.
        written: messages in the file, by topic [1].
        dropped: messages that did not fit in the queue or came after a failure, by topic [1].
        waiting_bytes: size of the messages in the queue [B].
        problem: why writing has stopped, or ''.
    """

    def __init__(self, path: Path, queue_bytes: int, compress: bool = False) -> None:
        """Create the folder and start the thread.

        Args:
            path: folder to create; it must not exist.
            queue_bytes: largest size of the messages in the queue [B].
            compress: compress each chunk with zstd.

        Raises:
            ConfigError: the folder exists, or cannot be created.
        """
        self.path = path
        self.written: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.waiting_bytes = 0
        self.problem = ''
        try:
            self._writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
            if compress:
                self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()
        except (OSError, WriterError) as error:
            raise ConfigError(f'cannot create the recording {path}: {error}') from error
        self._queue_bytes = queue_bytes
        self._queue: deque[_Message | _Topic | Mapping[str, str]] = deque()
        self._notes: dict[str, str] = {}
        self._definitions: dict[str, InstalledType] = {}
        self._connections: dict[str, Connection] = {}
        self._changed = threading.Condition()
        self._ending = False
        self._flush_at = time.monotonic() + _FLUSH_S
        self._thread = threading.Thread(target=self._run, name='recording', daemon=True)
        self._thread.start()

    def topic(self, name: str, type_name: str, offers: Sequence[Offer] = (), type_hash: str = '') -> None:
        """Add a topic, or add offers to it.

        metadata.yaml has all offers. The MCAP channel has those of the first call, because a channel cannot change.

        Args:
            name: full name.
            type_name: message type, for example sensor_msgs/msg/Image.
            offers: quality of service that the publishers offer.
            type_hash: type hash of the publishers; '' records that of the installed package.

        Raises:
            BagError: no installed package defines the type.
        """
        if name not in self._definitions:
            self._definitions[name] = _definition(name, type_name, type_hash)
        self._append(_Topic(name, type_name, self._definitions[name], tuple(offers)))

    def put(self, topic: str, log_ns: int, data: bytes, spare: bool = False) -> bool:
        """Queue a message and return whether it fitted.

        Args:
            topic: a topic that was added.
            log_ns: time of arrival [ns]; not less than that of the message before.
            data: message in CDR.
            spare: leave the reserved part of the queue free, as images do.
        """
        limit = self._queue_bytes * (1.0 - _RESERVED if spare else 1.0)
        with self._changed:
            if self.problem or self._ending or self.waiting_bytes + len(data) > limit:
                self.dropped[topic] += 1
                return False
            self.waiting_bytes += len(data)
            self._queue.append(_Message(topic, log_ns, data))
            self._changed.notify()
        return True

    def note(self, notes: Mapping[str, str]) -> None:
        """Store texts by key in the metadata of the bag; a new text replaces the old one of its key."""
        if any(self._notes.get(key) != text for key, text in notes.items()):
            self._notes.update(notes)
            self._append(dict(self._notes))

    def close(self, timeout_s: float) -> bool:
        """Write the queue, the index and the metadata; return whether that succeeded within `timeout_s` [s].

        A recording without messages is removed.
        """
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(timeout_s)
        done = not self._thread.is_alive() and not self.problem
        if done and not self.written and not self.dropped:
            shutil.rmtree(self.path)
        return done

    def _append(self, item: _Topic | Mapping[str, str]) -> None:
        with self._changed:
            self._queue.append(item)
            self._changed.notify()

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    wait_s = max(0.0, self._flush_at - time.monotonic())
                    self._changed.wait_for(lambda: bool(self._queue) or self._ending, wait_s)
                    item = self._queue.popleft() if self._queue else None
                    ended = item is None and self._ending
                if ended:
                    break
                if item is not None:
                    self._write(item)
                if time.monotonic() >= self._flush_at:
                    self._flush()
            for key, text in self._notes.items():
                self._writer.set_custom_data(key, text)
            self._writer.close()
        except (OSError, WriterError) as error:
            self._fail(error)

    def _write(self, item: _Message | _Topic | Mapping[str, str]) -> None:
        if isinstance(item, _Message):
            self._writer.write(self._connections[item.topic], item.log_ns, item.data)
            with self._changed:
                self.waiting_bytes -= len(item.data)
                self.written[item.topic] += 1
        elif isinstance(item, _Topic):
            self._add_topic(item)
        else:
            replace_text(self.path / NOTES, yaml.safe_dump(item, sort_keys=True))

    def _add_topic(self, topic: _Topic) -> None:
        profiles = [_qos(offer) for offer in topic.offers]
        if topic.name in self._connections:
            ext = self._connections[topic.name].ext
            assert isinstance(ext, ConnectionExtRosbag2)
            new = [one for one in dict.fromkeys(profiles) if one not in ext.offered_qos_profiles]
            ext.offered_qos_profiles.extend(new[: _OFFERS - len(ext.offered_qos_profiles)])
            return
        self._connections[topic.name] = self._writer.add_connection(
            topic.name,
            topic.type,
            msgdef=topic.definition.text,
            rihs01=topic.definition.hash,
            offered_qos_profiles=list(dict.fromkeys(profiles))[:_OFFERS],
        )

    def _flush(self) -> None:
        """Close the current chunk and pass it to the kernel."""
        storage = self._writer.storage
        assert isinstance(storage, McapWriter)
        if storage.chunk.msgs:
            storage.close_chunk()
        storage.bio.flush()
        self._flush_at = time.monotonic() + _FLUSH_S

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self.problem = f'{self.path}: {error}; the messages before that can be read'
            self.dropped.update(item.topic for item in self._queue if isinstance(item, _Message))
            self._queue.clear()
            self.waiting_bytes = 0
        self._writer.abort()


def _definition(topic: str, type_name: str, type_hash: str) -> InstalledType:
    """Definition of the installed package, else of the distribution and of this package.

    Raises:
        BagError: none of them defines the type.
    """
    standard = standard_types(_DISTRIBUTION)
    found = installed_type(type_name)
    if found is None and type_name in standard.types:
        text, _ = standard.generate_msgdef(type_name, ros_version=2)
        found = InstalledType(text, standard.hash_rihs01(type_name))
    if found is None:
        raise BagError(
            f'{topic} is of type {type_name}, which no installed package defines: it is not recorded; '
            'source the workspace of the package before the recorder starts'
        )
    return InstalledType(found.text, type_hash or found.hash or _NO_HASH)


def _qos(offer: Offer) -> Qos:
    return Qos(
        QosHistory[offer.history.upper()],
        offer.depth,
        QosReliability[offer.reliability.upper()],
        QosDurability[offer.durability.upper()],
        _time(offer.deadline_ns),
        _time(offer.lifespan_ns),
        QosLiveliness[offer.liveliness.upper()],
        _time(offer.lease_ns),
        avoid_ros_namespace_conventions=False,
    )


def _time(ns: int) -> QosTime:
    return QosTime(*divmod(ns, 1_000_000_000))
