# SPDX-License-Identifier: Apache-2.0
"""Serialised messages into a new MCAP bag, from a thread of its own and through a queue that cannot grow.

Threads: `topic`, `put`, `note` and the figures are for the owner, who is never made to wait: what finds no room is
dropped and counted. The writer's thread alone touches the file. Clock: log times are the owner's; the file is flushed
by the steady clock.

What a crash leaves: MCAP is a log of chunks. Each second the chunk at hand is closed and given to the kernel, so that
a process that is killed loses what came in its last second, and the file lacks its index and metadata.yaml; a power
cut may take what the kernel had not yet written as well. The notes are also kept beside the bag, in recording.yaml,
replaced as a whole when they change.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, WriterError
from rosbags.rosbag2.storage_mcap import McapWriter
from rosbags.typesys.store import Typestore

from aura_ros.common.errors import BagError, ConfigError
from aura_ros.recordings.message_types import standard_types

NOTES = 'recording.yaml'
"""File beside the storage file with the notes, for a recording that was cut off."""

_FLUSH_S = 1.0
# Of the queue, for what is not an image: pictures must not crowd out the little that cannot be had again.
_RESERVED = 0.125
_DISTRIBUTION = 'kilted'


@dataclass(frozen=True)
class _Message:
    topic: str
    log_ns: int
    data: bytes


@dataclass(frozen=True)
class _Topic:
    name: str
    type: str
    qos: tuple[Qos, ...]


def free_path(path: Path) -> Path:
    """The path, or PATH-2, PATH-3 and so on where it exists: nothing is overwritten."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f'{path.name}-{number}')
    return found


class Recording:
    """One bag being written; see the module's docstring for threads, clocks and crashes.

    Attributes:
        path: folder of the bag.
        written: messages in the file by topic [1].
        dropped: messages that found no room, or came after the file had failed, by topic [1].
        waiting_bytes: what waits to be written [B].
        problem: '' or why nothing is written any more.
    """

    def __init__(self, path: Path, queue_bytes: int, compress: bool = False) -> None:
        """Make the folder and start the thread.

        Args:
            path: folder to make; it must not exist.
            queue_bytes: most that waits to be written [B].
            compress: each chunk by zstd.

        Raises:
            ConfigError: the folder exists, or cannot be made.
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
            raise ConfigError(f'no recording can be made at {path}: {error}') from error
        self._queue_bytes = queue_bytes
        self._queue: deque[_Message | _Topic | Mapping[str, str]] = deque()
        self._notes: dict[str, str] = {}
        self._connections: dict[str, Connection] = {}
        self._changed = threading.Condition()
        self._ending = False
        self._flush_at = time.monotonic() + _FLUSH_S
        self._thread = threading.Thread(target=self._run, name='recording', daemon=True)
        self._thread.start()

    def topic(self, name: str, type_name: str, qos: Sequence[Qos] = ()) -> None:
        """Add a topic; `type_name` as sensor_msgs/msg/Image, `qos` what its publishers offer.

        Raises:
            BagError: nobody has defined the type.
        """
        if type_name not in _types().types:
            raise BagError(f'{name} is of type {type_name}, which is not known here: it is not recorded')
        self._append(_Topic(name, type_name, tuple(qos)))

    def put(self, topic: str, log_ns: int, data: bytes, spare: bool = False) -> bool:
        """Queue a message; returns whether there was room.

        Args:
            topic: one that was added.
            log_ns: when it came [ns]; never less than that of the message before.
            data: in CDR.
            spare: of a kind that leaves a part of the queue to others, as images.
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
        """Keep texts by key in the bag's metadata; a later one replaces an earlier one."""
        if any(self._notes.get(key) != text for key, text in notes.items()):
            self._notes.update(notes)
            self._append(dict(self._notes))

    def close(self, timeout_s: float) -> bool:
        """Write what waits, index and metadata; False where that failed or is not done in time [s].

        A recording in which there is no message is removed: nobody could read it.
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

    # The writer's thread. -------------------------------------------------------------------------
    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    wait_s = max(0.0, self._flush_at - time.monotonic())
                    self._changed.wait_for(lambda: bool(self._queue) or self._ending, wait_s)
                    item = self._queue.popleft() if self._queue else None
                    over = item is None and self._ending
                if over:
                    break
                if item is not None:
                    self._take(item)
                if time.monotonic() >= self._flush_at:
                    self._flush()
            for key, text in self._notes.items():
                self._writer.set_custom_data(key, text)
            self._writer.close()
        except (OSError, WriterError) as error:
            self._fail(error)

    def _take(self, item: _Message | _Topic | Mapping[str, str]) -> None:
        if isinstance(item, _Message):
            self._writer.write(self._connections[item.topic], item.log_ns, item.data)
            with self._changed:
                self.waiting_bytes -= len(item.data)
                self.written[item.topic] += 1
        elif isinstance(item, _Topic):
            self._connections[item.name] = self._writer.add_connection(
                item.name, item.type, typestore=_types(), offered_qos_profiles=item.qos
            )
        else:
            part = self.path / f'.{NOTES}.part'
            part.write_text(yaml.safe_dump(item, sort_keys=True), encoding='utf-8')
            part.replace(self.path / NOTES)

    def _flush(self) -> None:
        """Give what is written to the kernel, as a whole chunk."""
        storage = self._writer.storage
        assert isinstance(storage, McapWriter)
        if storage.chunk.bio.tell():
            storage.close_chunk()
        storage.bio.flush()
        self._flush_at = time.monotonic() + _FLUSH_S

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self.problem = f'{self.path}: {error}; what was written until then can be read'
            self.dropped.update(item.topic for item in self._queue if isinstance(item, _Message))
            self._queue.clear()
            self.waiting_bytes = 0
        self._writer.abort()


def _types() -> Typestore:
    return standard_types(_DISTRIBUTION)
