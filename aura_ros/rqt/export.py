# SPDX-License-Identifier: Apache-2.0
"""The content of the monitor as tables: CSV in UTF-8 with a header line and decimal points."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from aura_ros.common.files import replacing
from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.points import AURA, KV, WritePoint, durability_name, policy_name

Rows = Iterable[Sequence[object]]

_GATE = ('stamp_s', 'episode_id', 'seq', 'policy', 'gate', 'threshold', 'written', 'surprise', 'step_us', 'state_bytes')
_WRITE = tuple(field.name for field in fields(WritePoint))


def save_csv(model: MonitorModel, path: Path) -> tuple[Path, ...]:
    """Save the history of the model; a paused model saves what it had when it was paused.

    Args:
        model: model of one robot; call from its thread.
        path: file for the gates of both memories. The write events and the changed rows of W go to files beside it,
            whose names end in `_writes` and `_rows`.

    Returns:
        The files. An existing file is replaced only when the new one is complete.

    Raises:
        OSError: a file cannot be written.
    """
    path = path if path.suffix else path.with_suffix('.csv')
    tables: dict[str, tuple[Sequence[str], Rows]] = {
        '': (_GATE, gate_rows(model)),
        '_writes': (_WRITE, write_rows(model)),
        '_rows': (('stamp_s', 'seq', *(f'row_{row}' for row in range(32))), changed_rows(model)),
    }
    saved = []
    for ending, (header, rows) in tables.items():
        target = path.with_stem(path.stem + ending)
        _save(target, header, rows)
        saved.append(target)
    return tuple(saved)


def gate_rows(model: MonitorModel) -> Rows:
    """Yield each step of each memory, AURA first; the columns are `_GATE`."""
    for policy in (AURA, KV):
        yield from model.gate_table(policy)


def write_rows(model: MonitorModel) -> Rows:
    """Yield each write event; the columns are the fields of WritePoint, with names for policy and durability."""
    for point in model.writes(limit=0):
        values: dict[str, object] = dict(zip(_WRITE, astuple(point), strict=True))
        values |= {'policy': policy_name(point.policy), 'durability': durability_name(point.durability)}
        values['crc'] = f'{point.crc:08x}'
        yield tuple(values.values())


def changed_rows(model: MonitorModel) -> Rows:
    """Yield each step that changed rows of W: its time, its number, and the change of each row."""
    raster = model.raster()
    for t, seq, amount in zip(raster.t.tolist(), raster.seq.tolist(), raster.amount.T.tolist(), strict=True):
        yield (t, seq, *amount)


def _save(path: Path, header: Sequence[str], rows: Rows) -> None:
    with replacing(path) as part, part.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
