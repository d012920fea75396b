# SPDX-License-Identifier: Apache-2.0
"""SQLite files beside which a write-ahead log lies, as a killed recorder leaves them with the preset `resilient`.

SQLite needs to write beside a database to read its log. So both files are copied to a temporary folder and merged
there. The recording stays unchanged.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from aura_ros.common.errors import BagError
from aura_ros.common.limits import MESSAGE_BYTES
from aura_ros.recordings.unpacking import TemporaryFile, copy_stream

_SUFFIX = '-wal'
# Size of the header of a log; a log with frames is larger.
_HEADER_BYTES = 32
_GREW = 'grew while it was read: stop the recorder first'


def log_of(path: Path) -> Path | None:
    """Return the write-ahead log of an SQLite file, or None without one that holds data."""
    log = path.with_name(path.name + _SUFFIX)
    return log if log.is_file() and log.stat().st_size > _HEADER_BYTES else None


class MergedFile(TemporaryFile):
    """A temporary copy of an SQLite file with the content of its log."""

    def __init__(self, path: Path, log: Path) -> None:
        """Copy and merge both files.

        Raises:
            BagError: they cannot be merged, or the disk has no room.
        """
        super().__init__(path.name)
        try:
            for source, copy in ((path, self.path), (log, self.path.with_name(self.path.name + _SUFFIX))):
                with source.open('rb') as file, copy.open('wb') as target:
                    copy_stream(file, target, source, source.stat().st_size, _GREW)
            with closing(sqlite3.connect(self.path, isolation_level=None)) as database:
                database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MESSAGE_BYTES)
                database.execute('PRAGMA wal_checkpoint(TRUNCATE)')
                database.execute('PRAGMA journal_mode = DELETE')
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.Error):
                raise BagError(f'{log.name} cannot be merged ({error})') from None
            raise
