# SPDX-License-Identifier: Apache-2.0
"""Limits on SQLite files: tables only, because a view can compute rows without end; steps and sizes of queries."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from aura_ros.common.errors import BagError
from aura_ros.common.limits import MESSAGE_BYTES, SQL_STEPS, SQL_STEPS_PER_BYTE

_EVERY = 10_000


def open_database(path: Path) -> sqlite3.Connection:
    """Open an SQLite file for reading, with the limits. Nothing is written."""
    # immutable: SQLite then ignores a missing or stale journal
    database = sqlite3.connect(f'{path.absolute().as_uri()}?mode=ro&immutable=1', uri=True)
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MESSAGE_BYTES)
    database.set_progress_handler(_counter(path), _EVERY)
    return database


def check_tables(path: Path) -> None:
    """Refuse a database in which a view, a virtual table or a computed column stands for a table.

    Raises:
        BagError: there is one. A damaged file passes, because reading it reports the damage.
    """
    try:
        with closing(open_database(path)) as database:
            for kind, name, text in database.execute('SELECT type, name, sql FROM sqlite_master'):
                table = kind == 'table' and str(text).upper().startswith('CREATE TABLE')
                if not (table or kind == 'index'):
                    raise BagError(f'{path.name}: {kind} {str(name)[:40]!r} is not allowed: must be a plain table')
            names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in names:
                # 0 is an ordinary column.
                if any(row[6] for row in database.execute('SELECT * FROM pragma_table_xinfo(?)', (name,))):
                    raise BagError(f'{path.name}: table {str(name)[:40]!r} computes a column: must store all columns')
    except (sqlite3.Error, UnicodeError):
        return


@contextmanager
def limited_reader(path: Path) -> Iterator[None]:
    """Give the limits to the connections that rosbags opens in the block."""

    def limit(database: apsw.Connection) -> None:
        database.limit(apsw.SQLITE_LIMIT_LENGTH, MESSAGE_BYTES)
        database.set_progress_handler(_counter(path), _EVERY)

    apsw.connection_hooks.append(limit)
    try:
        yield
    finally:
        apsw.connection_hooks.remove(limit)


def _counter(path: Path) -> Callable[[], bool]:
    """Return a progress handler that ends the queries of a connection after a number of steps."""
    left = SQL_STEPS + SQL_STEPS_PER_BYTE * path.stat().st_size

    def count() -> bool:
        nonlocal left
        left -= _EVERY
        return left < 0

    return count
