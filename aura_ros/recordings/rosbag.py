# SPDX-License-Identifier: Apache-2.0
"""A rosbag2 recording of one or more storage files, with or without metadata.yaml."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from heapq import merge
from pathlib import Path
from typing import Any

from aura_ros.common.errors import BagError
from aura_ros.recordings.chunk_limits import check_overlap
from aura_ros.recordings.message_types import Decoder, current_name, decoder
from aura_ros.recordings.metadata import read_metadata
from aura_ros.recordings.sqlite_wal import log_of
from aura_ros.recordings.storage import COMPRESSED, SUFFIXES, Message, StorageFile
from aura_ros.recordings.types import FOREVER_NS, Episode, Topic


class Rosbag:
    """A rosbag2 recording; a `Source`."""

    def __init__(self, path: Path) -> None:
        """Open every storage file.

        Raises:
            BagError: no file can be read, or there are no messages.
        """
        self._path = path
        self._lost: list[str] = []
        self._undecoded: Counter[str] = Counter()
        known = read_metadata(path, self._lost)
        self.metadata: Mapping[str, str] = known.custom
        self._distribution = known.distribution
        self.files = known.files or tuple(_storage_files(path))
        self._storage: list[StorageFile] = []
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        failures = []
        for file in self.files:
            try:
                self._storage.append(StorageFile(file))
            except BagError as error:
                failures.append(str(error))
            except OSError as error:
                failures.append(f'{file.name} cannot be read ({error.strerror})')
        if not self._storage:
            raise BagError(f'{self._path}: {"; ".join(failures) or "it contains no .mcap or .db3 file"}')
        self._lost += failures
        check_overlap(span for storage in self._storage for span in storage.spans)
        counts: Counter[tuple[str, str]] = Counter()
        for storage in self._storage:
            for one in storage.connections:
                counts[one.topic, one.msgtype] += one.msgcount
        self.topics = tuple(Topic(name, current_name(kind), count) for (name, kind), count in counts.items())
        filled = [storage for storage in self._storage if storage.end_ns > storage.begin_ns]
        if not filled:
            topics = ', '.join(topic.name for topic in self.topics) or 'no topic'
            raise BagError(
                f'{self._path} holds no message ({topics}): check that the topics were published during the recording'
            )
        begin, end = min(one.begin_ns for one in filled), max(one.end_ns for one in filled)
        # The content of a write-ahead log belongs to the recording.
        self.files += tuple(log for file in self.files if (log := log_of(file)) is not None)
        self.episodes: tuple[Episode, ...] = (Episode(self._path.name.split('.')[0][:36], begin, end),)

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing: a bag has no notes besides `partial`."""
        return ()

    @property
    def partial(self) -> str:
        """What is missing of the recording, or ''."""
        undecoded = [f'{count} messages of {topic} could not be decoded' for topic, count in self._undecoded.items()]
        return '; '.join([*self._lost, *(one.partial for one in self._storage if one.partial), *undecoded])

    def messages(self, topics: Collection[str], begin_ns: int, end_ns: int) -> Iterator[tuple[str, int, Any]]:
        """Yield (topic, log_ns, message) in log order. Damaged messages are skipped and counted."""
        decoders: dict[tuple[str, str], Decoder] = {}
        for storage in self._storage:
            for one in storage.connections:
                if one.topic in topics and (one.topic, one.msgtype) not in decoders:
                    decoders[one.topic, one.msgtype] = decoder(one, self._distribution)
        parts = [
            _from(number, storage, topics, begin_ns, end_ns)
            for number, storage in enumerate(self._storage)
            if storage.begin_ns < end_ns and storage.end_ns > begin_ns
        ]
        for log_ns, _, message in merge(*parts, key=lambda item: item[:2]):
            if message is None:
                continue
            connection, _, data = message
            try:
                decoded = decoders[connection.topic, connection.msgtype](data)
            except Exception:  # noqa: BLE001  # generated code can raise anything on damaged bytes
                self._undecoded[connection.topic] += 1
                continue
            yield connection.topic, log_ns, decoded

    def close(self) -> None:
        """Close the files."""
        for storage in self._storage:
            storage.close()


def _from(
    number: int, storage: StorageFile, topics: Collection[str], begin_ns: int, end_ns: int
) -> Iterator[tuple[int, int, Message | None]]:
    # This first item lets `merge` read the files one after the other.
    yield storage.begin_ns, number, None
    wanted = [one for one in storage.connections if one.topic in topics]
    if wanted:
        for message in storage.messages(wanted, begin_ns, min(end_ns, FOREVER_NS)):
            yield message[1], number, message


def _storage_files(path: Path) -> list[Path]:
    """Storage files of a folder by number, or the file itself.

    Raises:
        BagError: the path is not a recording.
    """
    if path.is_dir():
        found = [file for file in path.iterdir() if _is_storage(file)]
        return sorted(found, key=lambda file: (len(file.name), file.name))
    if not _is_storage(path):
        fix = (
            f'; convert the ROS 1 bag: rosbags-convert --src {path} --dst {path.stem}' if path.suffix == '.bag' else ''
        )
        raise BagError(
            f'{path} is not a recording: must be a rosbag2 folder, an .mcap or .db3 file, or a LeRobot dataset{fix}'
        )
    return [path]


def _is_storage(path: Path) -> bool:
    name = path.name.removesuffix(COMPRESSED)
    return path.is_file() and name.endswith(SUFFIXES)
