# SPDX-License-Identifier: Apache-2.0
"""Storage devices for state files, with simulated power cuts and failures at any call.

Model: a write changes the page cache, and a sync copies the cached units of a file to storage. A power cut keeps any
subset of the unsynced changes: units (pages or sectors), the old or new length of a file, and the first few of the
changed names, in order. A failed sync stores any subset of the units. It marks all units clean, as Linux does, so the
cache then shows data that is not stored.
"""

from __future__ import annotations

import copy
import errno
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aura_ros.common.errors import StateLocked
from aura_ros.state.device import Device

PAGE = 4096
SECTOR = 512


class PowerCut(BaseException):
    """A power cut. It is a BaseException so that no handler of the program under test catches it."""


class FastDevice(Device):
    """Real files without syncs, for tests that open a file tens of thousands of times."""

    def sync(self, fd: int) -> None:
        """Skip the sync."""

    def forget(self, fd: int) -> None:
        """Keep the cache."""

    def sync_folder(self, folder: Path) -> None:
        """Skip the sync."""


@dataclass
class _File:
    stored: dict[int, bytes] = field(default_factory=dict)
    cache: dict[int, bytes] = field(default_factory=dict)
    dirty: set[int] = field(default_factory=set)
    size: int = 0
    synced_size: int = 0

    def unit(self, number: int, length: int) -> bytes:
        return self.cache.get(number, self.stored.get(number, bytes(length)))


class ModelDevice(Device):
    """The storage model of this module, for one process at a time.

    `kill` ends the process; `outcomes` and `cut` return devices after a power cut.
    """

    def __init__(self, unit: int = PAGE) -> None:
        self.unit = unit
        self.before: Callable[[str], None] = lambda call: None
        """Called with the name of each call before it is made; may raise OSError or PowerCut."""
        self.torn_sync: Callable[[list[int]], Iterable[int]] = lambda dirty: ()
        """Returns those of the dirty units that a failed sync stores."""
        self.names: dict[str, _File] = {}
        self._journal: list[dict[str, _File]] = [{}]  # the stored names, then the names after each later change
        self._open: dict[int, _File] = {}
        self._locked: dict[int, int] = {}  # file to descriptor
        self._fds = itertools.count(3)

    # --- system calls ---

    def open(self, path: Path, *, write: bool = True, create: bool = False) -> int:
        self.before('open_write' if write else 'open_read')
        name = str(path)
        if create:
            if name in self.names:
                raise FileExistsError(errno.EEXIST, 'File exists', name)
            self._rename(lambda names: names | {name: _File()})
        elif name not in self.names:
            raise FileNotFoundError(errno.ENOENT, 'No such file or directory', name)
        fd = next(self._fds)
        self._open[fd] = self.names[name]
        return fd

    def lock(self, fd: int, path: Path) -> None:
        if id(self._open[fd]) in self._locked:
            raise StateLocked(f'{path} is in use')
        self._locked[id(self._open[fd])] = fd

    def has_foreign_reader(self, fd: int, path: Path) -> bool:
        return False

    def make_private(self, fd: int) -> None:
        """Do nothing: the model has no permissions."""

    def same(self, fd: int, path: Path) -> bool:
        return self.names.get(str(path)) is self._open[fd]

    def size(self, fd: int) -> int:
        return self._open[fd].size

    def read(self, fd: int, size: int, offset: int) -> bytes:
        self.before('read')
        file = self._open[fd]
        first, last = offset // self.unit, (offset + size - 1) // self.unit
        data = b''.join(file.unit(number, self.unit) for number in range(first, last + 1))
        return data[offset - first * self.unit :][: max(0, min(size, file.size - offset))]

    def write(self, fd: int, data: bytes, offset: int) -> None:
        file = self._open[fd]
        for number in range(offset // self.unit, (offset + len(data) - 1) // self.unit + 1):
            self.before('write')  # a full disk may accept only the first units
            begin = max(offset, number * self.unit)
            end = min(offset + len(data), (number + 1) * self.unit)
            unit = bytearray(file.unit(number, self.unit))
            unit[begin - number * self.unit : end - number * self.unit] = data[begin - offset : end - offset]
            file.cache[number] = bytes(unit)
            file.dirty.add(number)
            file.size = max(file.size, end)

    def sync(self, fd: int) -> None:
        file = self._open[fd]
        try:
            self.before('sync')
        except OSError:
            self._persist(file, self.torn_sync(sorted(file.dirty)))
            file.dirty.clear()
            raise
        self._persist(file, file.dirty)
        file.dirty.clear()
        file.synced_size = file.size

    def forget(self, fd: int) -> None:
        file = self._open[fd]
        file.cache = {number: file.cache[number] for number in file.dirty}

    def rename(self, source: Path, target: Path) -> None:
        self.before('rename')
        self._rename(
            lambda names: (
                {name: file for name, file in names.items() if name != str(source)} | {str(target): names[str(source)]}
            )
        )

    def rename_new(self, source: Path, target: Path) -> None:
        if str(target) in self.names:
            raise FileExistsError(errno.EEXIST, 'File exists', str(target))
        self.rename(source, target)

    def remove(self, path: Path) -> None:
        if str(path) not in self.names:
            raise FileNotFoundError(errno.ENOENT, 'No such file or directory', str(path))
        self.before('remove')
        self._rename(lambda names: {name: file for name, file in names.items() if name != str(path)})

    def sync_folder(self, folder: Path) -> None:
        self.before('sync_folder')
        self._journal = [self.names]

    def exists(self, path: Path) -> bool:
        return str(path) in self.names

    def close(self, fd: int) -> None:
        file = self._open.pop(fd)
        if self._locked.get(id(file)) == fd:
            del self._locked[id(file)]

    # --- operations of a test ---

    def kill(self) -> None:
        """End the process: drop descriptors and locks, keep the page cache."""
        self._open.clear()
        self._locked.clear()

    def outcomes(self) -> Iterator[ModelDevice]:
        """Yield the device after every power cut that is possible now, one for each subset of the changes."""
        files = {id(file): file for names in self._journal for file in names.values()}.values()
        units = [(index, number) for index, file in enumerate(files) for number in sorted(file.dirty)]
        grown = [index for index, file in enumerate(files) if file.size != file.synced_size]
        for names in range(len(self._journal)):
            for kept in _subsets(units):
                for sizes in _subsets(grown):
                    yield self._cut(names, set(kept), set(sizes))

    def cut(self, choose: Callable[[str, int], bool]) -> ModelDevice:
        """Return the device after a power cut; `choose` returns whether it keeps a change (kind, number)."""
        files = list({id(file): file for names in self._journal for file in names.values()}.values())
        units = {(index, number) for index, file in enumerate(files) for number in file.dirty if choose('unit', number)}
        names = sum(1 for index in range(1, len(self._journal)) if choose('name', index))
        return self._cut(names, units, {index for index in range(len(files)) if choose('size', index)})

    def flip(self, path: Path, offset: int) -> None:
        """Damage a byte of a file, in storage and in the cache."""
        file = self.names[str(path)]
        number = offset // self.unit
        for units in (file.stored, file.cache):
            if number in units:
                unit = bytearray(units[number])
                unit[offset % self.unit] ^= 0xFF
                units[number] = bytes(unit)

    def _cut(self, names: int, kept: set[tuple[int, int]], sizes: set[int]) -> ModelDevice:
        after = ModelDevice(self.unit)
        journal = copy.deepcopy(self._journal)  # two names of one file stay two names of one file
        files = list({id(file): file for state in journal for file in state.values()}.values())
        for index, file in enumerate(files):
            after._persist(file, [number for which, number in kept if which == index])
            file.size = file.size if index in sizes else file.synced_size
            file.synced_size, file.dirty, file.cache = file.size, set(), {}
        after.names = journal[names]
        after._journal = [after.names]
        return after

    def _persist(self, file: _File, numbers: Iterable[int]) -> None:
        file.stored.update({number: file.cache[number] for number in numbers})

    def _rename(self, change: Callable[[dict[str, _File]], dict[str, _File]]) -> None:
        self.names = change(self.names)
        self._journal.append(self.names)


def _subsets(items: list) -> Iterator[tuple]:
    return itertools.chain.from_iterable(itertools.combinations(items, count) for count in range(len(items) + 1))
