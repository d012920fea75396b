# SPDX-License-Identifier: Apache-2.0
"""One recording as one stream of messages: a rosbag2 folder, an .mcap or .db3 file, or a LeRobot dataset."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from aura_ros.common.errors import BagError
from aura_ros.common.text_files import loading
from aura_ros.recordings.types import FOREVER_NS, Sample, Source, Topic

_NS = 1_000_000_000


class Bag:
    """A recording, open for reading; a context manager. One thread.

    Attributes:
        path: the path that was given.
        topics: the recorded topics, sorted by name.
        episodes: the runs of the task in the recording, in order.
        metadata: notes of the recorder: the custom data of rosbag2, or the properties of a dataset.
        files: the files of the recording; their contents identify it.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a recording.

        Args:
            path: a rosbag2 folder, with or without metadata.yaml; an .mcap or .db3 file, optionally with .zstd after
                it; a LeRobot dataset (v2.0, v2.1 or v3).

        Raises:
            BagError: there is no recording, or nothing in it can be read.
        """
        self.path = Path(path)
        with loading(str(path), BagError):
            self._source = _open(self.path)
        self.topics = tuple(sorted(self._source.topics, key=lambda topic: (topic.name, topic.type)))
        self.episodes = self._source.episodes
        self.metadata = self._source.metadata
        self.files = self._source.files
        self._opened = _parts(self._source.partial)

    @property
    def partial(self) -> str:
        """What is missing from the recording, or ''. Later reads may find more damage."""
        return self._source.partial

    @property
    def notes(self) -> tuple[str, ...]:
        """What else a user of the recording should know, in sentences. Later reads may add to it."""
        return self._source.notes

    @property
    def damage(self) -> str:
        """What reading has added to `partial` so far, or ''."""
        return '; '.join(part for part in _parts(self.partial) if part not in self._opened)

    @property
    def begin_ns(self) -> int:
        """Log time of the first message [ns]."""
        return self.episodes[0].begin_ns

    @property
    def end_ns(self) -> int:
        """Log time after the last message [ns]."""
        return self.episodes[-1].end_ns

    def of_type(self, *types: str) -> list[Topic]:
        """Return the topics of these message types that have messages."""
        return [topic for topic in self.topics if topic.type in types and topic.count]

    def samples(
        self, topics: Iterable[str], begin_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[Sample]:
        """Yield the messages of `topics` with begin_ns <= log_ns < end_ns, in log order.

        Memory use does not grow with the length of the recording.

        Raises:
            BagError: a topic was not recorded, or its type is unknown.
        """
        wanted, known = list(topics), {topic.name for topic in self.topics}
        if missing := [name for name in wanted if name not in known]:
            has = ', '.join(topic.name for topic in self.topics) or 'none'
            raise BagError(f'{self.path} has no topic {", ".join(missing)}; it has {has}')
        begin = 0 if begin_ns is None else begin_ns
        end = FOREVER_NS if end_ns is None else end_ns
        for topic, log_ns, message in self._source.messages(wanted, begin, end):
            # Messages of other packages may have a header of another type.
            stamp = getattr(getattr(message, 'header', None), 'stamp', None)
            stamp_ns = getattr(stamp, 'sec', 0) * _NS + getattr(stamp, 'nanosec', 0)
            stamped = stamp_ns > 0
            yield Sample(topic, stamp_ns if stamped else log_ns, log_ns, message, stamped)

    def close(self) -> None:
        """Close the files."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _parts(partial: str) -> list[str]:
    return [part for part in partial.split('; ') if part]


def _open(path: Path) -> Source:
    if not path.exists():
        raise BagError(f'{path} does not exist')
    # Imported here: the readers load pyarrow, PyAV or rosbags, and many importers never open a recording.
    if (path / 'meta' / 'info.json').is_file():
        from aura_ros.recordings.lerobot import Dataset

        return Dataset(path)
    from aura_ros.recordings.rosbag import Rosbag

    return Rosbag(path)
