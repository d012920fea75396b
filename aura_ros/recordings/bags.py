# SPDX-License-Identifier: Apache-2.0
"""A recording as one stream of messages: rosbag2 folders, single .mcap and .db3 files, LeRobot datasets.

Times
    log_ns    when the recorder got the message [ns, the recorder's clock]; messages come in this order
    stamp_ns  when what the message tells was the case [ns, ROS clock]: its header's stamp, else log_ns
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from aura_ros.common.errors import BagError

_NS = 1_000_000_000
FOREVER_NS = 2**63 - 1


@dataclass(frozen=True)
class Topic:
    """A topic of a recording.

    name: as recorded.
    type: ROS 2 name of its message type, for instance sensor_msgs/msg/Image.
    count: messages in the recording [1].
    """

    name: str
    type: str
    count: int


@dataclass(frozen=True)
class Sample:
    """One message; the module's docstring tells the times apart.

    topic: its topic.
    stamp_ns: of its content [ns].
    log_ns: of its arrival [ns].
    message: its fields as attributes, named as in the .msg file; arrays are numpy's.
    stamped: whether stamp_ns is the header's.
    """

    topic: str
    stamp_ns: int
    log_ns: int
    message: Any
    stamped: bool = True


@dataclass(frozen=True)
class Episode:
    """A span of a recording that is one run of the task; a bag is one, a dataset many.

    name: for people and file names, at most 36 characters.
    begin_ns, end_ns: log time of its first message, and after its last [ns].
    """

    name: str
    begin_ns: int
    end_ns: int


class Source(Protocol):
    """A kind of recording."""

    # The attributes of Bag, which says what they are.
    topics: tuple[Topic, ...]
    episodes: tuple[Episode, ...]
    metadata: Mapping[str, str]
    files: tuple[Path, ...]

    @property
    def partial(self) -> str: ...

    def messages(self, topics: Collection[str], begin_ns: int, end_ns: int) -> Iterator[tuple[str, int, Any]]:
        """(topic, log_ns, message) in log order."""
        ...

    def close(self) -> None: ...


class Bag:
    """A recording, open for reading; a context manager. One thread.

    Attributes:
        path: as given.
        topics: what was recorded, by name.
        episodes: runs of the task in it, one after the other.
        metadata: what the recorder noted: the custom data of rosbag2, facts of a dataset.
        files: the files it consists of, to name it by content.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a bag.

        Args:
            path: a rosbag2 folder, with or without metadata.yaml; a .mcap or .db3 file, also with .zstd after it; a
                LeRobot dataset (v2.1 or v3).

        Raises:
            BagError: there is no recording, or nothing of it can be read. One sentence: what is wrong, what to do.
        """
        self.path = Path(path)
        self._source = _open(self.path)
        self.topics = tuple(sorted(self._source.topics, key=lambda topic: (topic.name, topic.type)))
        self.episodes = self._source.episodes
        self.metadata = self._source.metadata
        self.files = self._source.files

    @property
    def partial(self) -> str:
        """'' or what is missing of the recording; reading may find out more."""
        return self._source.partial

    @property
    def begin_ns(self) -> int:
        """Log time of the first message [ns]."""
        return self.episodes[0].begin_ns

    @property
    def end_ns(self) -> int:
        """Log time after the last message [ns]."""
        return self.episodes[-1].end_ns

    def samples(
        self, topics: Iterable[str], begin_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[Sample]:
        """Give the messages of `topics` with begin_ns <= log_ns < end_ns, in log order.

        Streaming: what is held does not grow with the recording.

        Raises:
            BagError: a topic that was not recorded, or whose type is not known.
        """
        wanted, known = list(topics), {topic.name for topic in self.topics}
        if missing := [name for name in wanted if name not in known]:
            has = ', '.join(topic.name for topic in self.topics) or 'none'
            raise BagError(f'{self.path} has no topic {", ".join(missing)}; it has {has}')
        begin = 0 if begin_ns is None else begin_ns
        end = FOREVER_NS if end_ns is None else end_ns
        for topic, log_ns, message in self._source.messages(wanted, begin, end):
            # Messages of others may have a header of their own kind.
            stamp = getattr(getattr(message, 'header', None), 'stamp', None)
            stamp_ns = getattr(stamp, 'sec', 0) * _NS + getattr(stamp, 'nanosec', 0)
            stamped = stamp_ns > 0
            yield Sample(topic, stamp_ns if stamped else log_ns, log_ns, message, stamped)

    def close(self) -> None:
        """Close the files."""
        self._source.close()

    def __enter__(self) -> Self:
        """Give the bag itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        self.close()


def _open(path: Path) -> Source:
    # Here, so that each kind can use the classes above.
    from aura_ros.recordings.lerobot import Dataset, is_dataset
    from aura_ros.recordings.rosbag import Rosbag

    if not path.exists():
        raise BagError(f'{path} does not exist')
    if is_dataset(path):
        return Dataset(path)
    return Rosbag(path)
