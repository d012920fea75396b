# SPDX-License-Identifier: Apache-2.0
"""State files and differences between two states, as tables and as plain values."""

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from aura_ros.common.errors import StateError
from aura_ros.common.tables import FiguresTable
from aura_ros.common.text import printable
from aura_ros.state.format import VERSION, SlotContent, arrays
from aura_ros.state.reading import StateFile

_ROWS = {
    'holds': 'holds',
    'generation': 'generation',
    'saved': 'saved',
    'episode_id': 'episode',
    'seq': 'last step',
    'writes': 'writes',
    'memory_hash': 'weights',
    'layout': 'arrays',
    'bytes': 'bytes',
    'crc32': 'CRC-32 of the arrays',
}


@dataclass(frozen=True)
class ArrayDifference:
    """The same array of two states; differences are second minus first, in float64."""

    name: str
    """'array0' and so on, in the order of the state's layout."""
    shape: tuple[int, ...]
    """Shape of the array."""
    changed: int
    """Number of values that differ."""
    count: int
    """Number of values."""
    largest: float
    """Largest absolute difference."""
    norm: float
    """Frobenius norm of the difference."""
    first_norm: float
    """Frobenius norm of the first state's array."""


@dataclass(frozen=True)
class Difference:
    """The differences between two states."""

    parts: tuple[ArrayDifference, ...]
    """One for each array."""

    @property
    def same(self) -> bool:
        """Whether all values are equal bit for bit."""
        return not any(part.changed for part in self.parts)


def describe(content: SlotContent) -> dict[str, object]:
    """Return the content of a slot by name; only `slot` and `holds` if there is no state."""
    if content.snapshot is None or content.identity is None:
        other = '' if content.version == VERSION else f'a state of format version {content.version}'
        return {'slot': content.slot, 'holds': other or content.damage or 'nothing'}
    snapshot, identity = content.snapshot, content.identity
    saved = datetime.fromtimestamp(content.saved_ns / 1e9, UTC).isoformat(timespec='seconds')
    return {
        'slot': content.slot,
        'holds': 'a state',
        'generation': content.generation,
        'saved': saved,
        'episode_id': snapshot.episode_id,
        'seq': snapshot.seq,
        'writes': snapshot.writes,
        'memory_hash': identity.memory_hash.hex(),
        'layout': identity.layout,
        'bytes': identity.size,
        'crc32': f'{zlib.crc32(snapshot.payload):08x}',
        'version': content.version,
    }


def compare(first: SlotContent, second: SlotContent) -> Difference:
    """Return the differences between the arrays of two states.

    Raises:
        StateError: if their layouts differ.
    """
    assert first.identity and second.identity and first.snapshot and second.snapshot
    if first.identity.layout != second.identity.layout:
        raise StateError(f'states of {first.identity.layout} and of {second.identity.layout} cannot be compared')
    pairs = zip(
        arrays(first.identity.layout, first.snapshot.payload),
        arrays(second.identity.layout, second.snapshot.payload),
        strict=True,
    )
    return Difference(tuple(_difference(f'array{index}', *pair) for index, pair in enumerate(pairs)))


def _difference(name: str, first: NDArray[np.generic], second: NDArray[np.generic]) -> ArrayDifference:
    before, after = first.astype(np.float64).ravel(), second.astype(np.float64).ravel()
    # by bytes, so that 0.0 and -0.0 are two and no rounding to float64 hides a difference
    bits = [np.frombuffer(part.tobytes(), f'V{part.itemsize}') for part in (first, second)]
    delta = after - before
    return ArrayDifference(
        name,
        first.shape,
        int((bits[0] != bits[1]).sum()),
        first.size,
        float(np.abs(delta).max(initial=0.0)),
        float(np.linalg.norm(delta)),
        float(np.linalg.norm(before)),
    )


def print_file(console: Console, found: StateFile, holder: int | None) -> None:
    """Print both slots of a file side by side, and whether the file can be restored."""
    used = f', in use by process {holder}' if holder else ''
    console.print(f'{found.path}: {found.size:,} bytes{used}', soft_wrap=True, markup=False)
    names = [f'slot {content.slot}' + (' (newest)' if content is found.newest else '') for content in found.slots]
    table = FiguresTable(keys=('',), texts=names)
    described = [describe(content) for content in found.slots]
    for key, title in _ROWS.items():
        if any(key in slot for slot in described):
            table.add_row(title, *(_cell(key, slot.get(key, '')) for slot in described))
    console.print(table)
    if found.problem:
        console.print(f'Cannot be restored: {found.problem}', style='bold red', soft_wrap=True, markup=False)
    elif found.newest is None:
        console.print('Nothing was saved yet.')
    elif found.damaged:
        text = f'Would be restored from slot {found.newest.slot}; {found.damaged}'
        console.print(text, style='yellow', soft_wrap=True, markup=False)


def _cell(key: str, value: object) -> str:
    if key == 'memory_hash':
        return str(value)[:12]
    if key == 'episode_id':
        return repr(value) if value != '' else ''  # escapes control characters
    return f'{value:,}' if isinstance(value, int) else str(value)


def print_difference(
    console: Console, first: tuple[str, SlotContent], second: tuple[str, SlotContent], difference: Difference
) -> None:
    """Print the differences in the headers, then in the arrays."""
    described = [describe(content) for _, content in (first, second)]
    table = FiguresTable(keys=('',), texts=(printable(first[0]), printable(second[0])))
    for key, title in _ROWS.items():
        values = [_cell(key, slot[key]) for slot in described]
        if values[0] != values[1]:
            table.add_row(title, *values)
    if table.row_count:
        console.print(table)
    if difference.same:
        console.print('The arrays are equal bit for bit.')
        return
    table = FiguresTable(
        keys=('array',), figures=('shape', 'numbers changed', 'largest change', 'norm of the change', 'norm before')
    )
    for part in difference.parts:
        table.add_row(
            part.name,
            'x'.join(map(str, part.shape)),
            f'{part.changed:,} of {part.count:,}',
            f'{part.largest:.3g}',
            f'{part.norm:.3g}',
            f'{part.first_norm:.3g}',
        )
    console.print(table)
