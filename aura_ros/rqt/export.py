# SPDX-License-Identifier: Apache-2.0
"""What the monitor shows, as tables: CSV with a header line, UTF-8, a dot for decimals."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from aura_ros.common.files import replacing
from aura_ros.rqt.model import AURA, KV, MonitorModel, WritePoint, durability_name, policy_name

_GATE = ('stamp_s', 'episode_id', 'seq', 'policy', 'gate', 'threshold', 'written', 'surprise', 'step_us', 'state_bytes')


def save_csv(model: MonitorModel, path: Path) -> tuple[Path, ...]:
    """Save what the model remembers, of the time when it was paused if it is.

    Args:
        model: of one robot; its thread.
        path: of the file with the gates of both memories; `_writes` and `_rows` are put before its suffix for the
            write events and the rows of W that changed.

    Returns:
        The files, each whole: one that is there already is replaced at the end.

    Raises:
        OSError: one cannot be written.
    """
    path = path if path.suffix else path.with_suffix('.csv')
    tables: dict[str, tuple[Sequence[str], Iterable[Sequence[Any]]]] = {
        '': (_GATE, gate_rows(model)),
        '_writes': ([field.name for field in fields(WritePoint)], write_rows(model)),
        '_rows': (('stamp_s', 'seq', *(f'row_{row}' for row in range(32))), changed_rows(model)),
    }
    saved = []
    for ending, (header, rows) in tables.items():
        target = path.with_stem(path.stem + ending)
        _save(target, header, rows)
        saved.append(target)
    return tuple(saved)


def gate_rows(model: MonitorModel) -> Iterable[Sequence[Any]]:
    """Yield each step of each memory, AURA's first; columns as `_GATE`."""
    for policy in (AURA, KV):
        yield from model.gate_table(policy)


def write_rows(model: MonitorModel) -> Iterable[Sequence[Any]]:
    """Yield each write event; columns are the fields of WritePoint, policy and durability in words."""
    names = [field.name for field in fields(WritePoint)]
    for point in model.writes(limit=0):
        values = dict(zip(names, astuple(point), strict=True))
        values |= {'policy': policy_name(point.policy), 'durability': durability_name(point.durability)}
        values['crc'] = f'{point.crc:08x}'
        yield tuple(values.values())


def changed_rows(model: MonitorModel) -> Iterable[Sequence[Any]]:
    """Yield each step that changed rows of W: its time, its number, and by how much each row changed."""
    raster = model.raster()
    for t, seq, amount in zip(raster.t.tolist(), raster.seq.tolist(), raster.amount.T.tolist(), strict=True):
        yield (t, seq, *amount)


def _save(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with replacing(path) as part, part.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
