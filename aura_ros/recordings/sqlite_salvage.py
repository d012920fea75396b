# SPDX-License-Identifier: Apache-2.0
"""Reads a damaged or truncated .db3 file: the rows in the order of recording, up to the first damaged one.

The index cannot be trusted, so the rows are not sorted by time. A heap of a few thousand rows sorts them, which is more
than a recorder's queues can mix up.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing
from heapq import heappop, heappush
from pathlib import Path

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat

from aura_ros.common.errors import BagError
from aura_ros.recordings.sqlite_limits import open_database

# Rows that are sorted at a time; only their keys are in memory.
_WINDOW = 4096
# sqlite3 raises UnicodeError when the text of an error contains a damaged name.
_DAMAGE = (sqlite3.Error, UnicodeError)
_CUT = 'the file is shorter than its header says, as after a crash or a broken copy'
_DAMAGED_ROWS = 'damaged rows were skipped'
_FORMATS = {'ros2msg': MessageDefinitionFormat.MSG, 'ros2idl': MessageDefinitionFormat.IDL}


def is_cut_short(path: Path) -> bool:
    """Return whether a database is shorter than its header says; SQLite reads a missing part of a page as zeros."""
    size = path.stat().st_size
    with path.open('rb') as file:
        head = file.read(100)
    if len(head) < 100:
        return True
    page = int.from_bytes(head[16:18], 'big')
    page = 65536 if page == 1 else page
    # The number of pages is valid only if it was written with the last change.
    pages = int.from_bytes(head[28:32], 'big') if head[24:28] == head[92:96] else 0
    return size < pages * page or bool(page and size % page)


class SalvagedSqlite:
    """The readable rows of an SQLite file. One thread.

    Attributes:
        connections: topics with types, definitions and message counts.
        begin_ns: log time of the first message [ns].
        end_ns: log time after the last message [ns].
        lost: what is missing, or ''.
    """

    def __init__(self, path: Path) -> None:
        """Read the topics and the time of every row.

        Raises:
            BagError: the file is not a rosbag2 database, or no row can be read.
        """
        self.lost = _CUT if is_cut_short(path) else ''
        self._file = open_database(path)
        self._file.text_factory = _text
        counts: Counter[int] = Counter()
        self.begin_ns, self.end_ns = 2**63 - 1, 0
        try:
            # Otherwise SQLite refuses a file that is shorter than its header says. Nothing is written.
            self._file.execute('PRAGMA writable_schema = ON')
            topics = self._file.execute('SELECT id, name, type, serialization_format FROM topics').fetchall()
            definitions = self._definitions()
            for _, topic, log_ns in self._rows():
                counts[topic] += 1
                self.begin_ns, self.end_ns = min(self.begin_ns, log_ns), max(self.end_ns, log_ns + 1)
        except _DAMAGE as error:
            self._file.close()
            raise BagError(f'is not a readable rosbag2 database ({error}): record or copy it again') from None
        if not counts:
            self._file.close()
            raise BagError('holds no readable message: it was cut off before the first one was stored')
        none = MessageDefinition(MessageDefinitionFormat.NONE, '')
        self.connections = [
            Connection(
                number,
                name,
                kind,
                definitions.get(kind, none),
                '',
                counts[number],
                ConnectionExtRosbag2(encoding, []),
                self,
            )
            for number, name, kind, encoding in topics
            if isinstance(name, str) and isinstance(kind, str)
        ]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def messages(
        self, connections: Collection[Connection], begin_ns: int, end_ns: int
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield messages of `connections` with begin_ns <= log_ns < end_ns, by log time, then in recorded order."""
        wanted = {connection.id: connection for connection in connections}
        waiting: list[tuple[int, int, int]] = []
        last_ns = begin_ns
        for row, topic, log_ns in self._rows():
            if topic in wanted and last_ns <= log_ns < end_ns:
                heappush(waiting, (log_ns, row, topic))
            elif topic in wanted and begin_ns <= log_ns < last_ns:
                self.lost = self.lost or _DAMAGED_ROWS
            if len(waiting) > _WINDOW:
                last_ns = waiting[0][0]
                yield from self._message(*heappop(waiting), wanted)
        while waiting:
            yield from self._message(*heappop(waiting), wanted)

    def _rows(self) -> Iterator[tuple[int, int, int]]:
        """(row, topic, log time [ns]) up to the first unreadable row."""
        try:
            for row in self._file.execute('SELECT id, topic_id, timestamp FROM messages NOT INDEXED ORDER BY id'):
                # SQLite can store any type in any column.
                if all(isinstance(value, int) for value in row):
                    yield row
                else:
                    self.lost = self.lost or _DAMAGED_ROWS
        except _DAMAGE as error:
            self.lost = self.lost or f'the rows after the first one that cannot be read are missing ({error})'

    def _message(
        self, log_ns: int, row: int, topic: int, wanted: dict[int, Connection]
    ) -> Iterator[tuple[Connection, int, bytes]]:
        try:
            with closing(self._file.execute('SELECT data FROM messages WHERE id = ?', (row,))) as cursor:
                found = cursor.fetchone()
        except _DAMAGE as error:
            self.lost = self.lost or f'rows that cannot be read were skipped ({error})'
            return
        # A damaged page can contain a row that its parent page does not lead to.
        if found is not None and isinstance(found[0], bytes):
            yield wanted[topic], log_ns, found[0]
        else:
            self.lost = self.lost or _DAMAGED_ROWS

    def _definitions(self) -> dict[str, MessageDefinition]:
        try:
            columns = 'topic_type, encoding, encoded_message_definition'
            rows = self._file.execute(f'SELECT {columns} FROM message_definitions')
            return {
                name: MessageDefinition(_FORMATS[encoding], text)
                for name, encoding, text in rows
                if encoding in _FORMATS
            }
        except _DAMAGE:  # an old version has no such table; the decoder then uses the standard types
            return {}


def _text(data: bytes) -> str:
    return data.decode('utf-8', 'replace')
