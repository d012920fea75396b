# SPDX-License-Identifier: Apache-2.0
"""Reads a .db3 file that is damaged or was cut off: its rows as they were recorded, up to the first that is not whole.

Without a trustworthy index the rows are not sorted by time; a heap of the newest few thousand puts them in order, which
is more than a recorder's queues can mix up.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing
from heapq import heappop, heappush
from pathlib import Path

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat

from aura_ros.common.errors import BagError

# Rows that are sorted at a time: their keys are held, not their data.
_WINDOW = 4096
# UnicodeError: of an error whose text quotes damaged names.
_DAMAGE = (sqlite3.Error, UnicodeError)
_CUT = 'the file is shorter than its head says, as after a crash or a broken copy'
_DAMAGED_ROWS = 'damaged rows were left out'
_FORMATS = {'ros2msg': MessageDefinitionFormat.MSG, 'ros2idl': MessageDefinitionFormat.IDL}


def is_cut_short(path: Path) -> bool:
    """Whether a database is shorter than its head says; SQLite takes what is missing of a page for zeros."""
    size = path.stat().st_size
    with path.open('rb') as file:
        head = file.read(100)
    if len(head) < 100:
        return True
    page = int.from_bytes(head[16:18], 'big')
    page = 65536 if page == 1 else page
    # The number of pages holds only where it was written with the last change.
    pages = int.from_bytes(head[28:32], 'big') if head[24:28] == head[92:96] else 0
    return size < pages * page or bool(page and size % page)


class SalvagedSqlite:
    """What can be read of an SQLite file. One thread.

    Attributes:
        connections: topics, with their types, definitions and numbers of messages.
        begin_ns, end_ns: log time of the first message, and after the last [ns].
        lost: what is missing, for people.
    """

    def __init__(self, path: Path) -> None:
        """Read the topics, and every row's time once.

        Raises:
            BagError: it is no rosbag2 database, or no row of it can be read.
        """
        self.lost = _CUT if is_cut_short(path) else ''
        # immutable: a journal that is missing or left over is no reason to refuse, and nothing is written
        self._file = sqlite3.connect(f'{path.absolute().as_uri()}?mode=ro&immutable=1', uri=True)
        self._file.text_factory = _text
        counts: Counter[int] = Counter()
        self.begin_ns, self.end_ns = 2**63 - 1, 0
        try:
            # Else SQLite refuses a file that is shorter than its head says; nothing is written all the same.
            self._file.execute('PRAGMA writable_schema = ON')
            topics = self._file.execute('SELECT id, name, type, serialization_format FROM topics').fetchall()
            definitions = self._definitions()
            for _, topic, log_ns in self._rows():
                counts[topic] += 1
                self.begin_ns, self.end_ns = min(self.begin_ns, log_ns), max(self.end_ns, log_ns + 1)
        except _DAMAGE as error:
            self._file.close()
            raise BagError(f'is no rosbag2 database that can be read ({error}): record or copy it again') from None
        if not counts:
            self._file.close()
            raise BagError('holds no message that can be read: it was cut off before the first was stored')
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
        """Messages of `connections` in [begin_ns, end_ns), by log time, then in the order of recording."""
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
        """(row, topic, log time [ns]) up to the first row that cannot be read."""
        try:
            for row in self._file.execute('SELECT id, topic_id, timestamp FROM messages NOT INDEXED ORDER BY id'):
                # SQLite stores a value of any type in any column.
                if all(isinstance(value, int) for value in row):
                    yield row
                else:
                    self.lost = self.lost or _DAMAGED_ROWS
        except _DAMAGE as error:
            self.lost = self.lost or f'the rows after the first damaged one are missing ({error})'

    def _message(
        self, log_ns: int, row: int, topic: int, wanted: dict[int, Connection]
    ) -> Iterator[tuple[Connection, int, bytes]]:
        try:
            with closing(self._file.execute('SELECT data FROM messages WHERE id = ?', (row,))) as cursor:
                found = cursor.fetchone()
        except _DAMAGE as error:
            self.lost = self.lost or f'{_DAMAGED_ROWS} ({error})'
            return
        # A damaged page may bear a row that its parent does not lead to.
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
        except _DAMAGE:  # a version without that table, or it is damaged: then there are the standard types
            return {}


def _text(data: bytes) -> str:
    return data.decode('utf-8', 'replace')
