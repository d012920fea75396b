# SPDX-License-Identifier: Apache-2.0
"""The exported tables can be read back, and are complete or absent."""

import csv

import numpy as np
import pytest

from aura_ros.rqt.export import save_csv
from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.points import AURA, DURABLE, KV, GatePoint, StatePoint, WritePoint


@pytest.fixture
def model():
    model = MonitorModel()
    for seq in range(6):
        written = seq == 4
        model.ingest(GatePoint(100.0 + seq / 3, 'a', seq, 0.25, 0.5, written, 1.5, 40.0, 4224, AURA), 0.0)
        model.ingest(GatePoint(100.0 + seq / 3, 'a', seq, 1.0, 0.0, True, 0.0, 9.0, 256 * seq, KV), 0.0)
    model.ingest(WritePoint(101.0, 'a', 4, AURA, 0.8, 0.5, 2.0, 0.1, 0.3, 1, 4224, 8192, 0.0, 0xBEEF, DURABLE), 0.0)
    weights, ages = np.zeros((32, 32), np.float32), np.full(32, 6, np.uint64)
    model.ingest(StatePoint(101.0, 'a', 3, weights, weights[0], ages, 1), 0.0)
    changed = weights.copy()
    changed[2, 0], ages[2] = 0.5, 1
    model.ingest(StatePoint(101.7, 'a', 5, changed, weights[0], ages, 1), 0.0)
    return model


def table(path):
    with path.open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def test_tables_hold_the_history_of_the_model(model, tmp_path):
    saved = save_csv(model, tmp_path / 'out.csv')
    assert [path.name for path in saved] == ['out.csv', 'out_writes.csv', 'out_rows.csv']
    gates, writes, rows = map(table, saved)
    steps = [(row['policy'], int(row['seq'])) for row in gates]
    assert steps == [(policy, seq) for policy in ('aura', 'kv') for seq in range(6)]
    assert float(gates[1]['stamp_s']) == 100.0 + 1 / 3  # no digit is lost
    assert (gates[4]['written'], gates[0]['written'], gates[0]['episode_id']) == ('True', 'False', 'a')
    assert [int(row['state_bytes']) for row in gates[6:]] == [256 * seq for seq in range(6)]
    assert [(row['policy'], row['durability'], row['crc'], float(row['gate'])) for row in writes] == [
        ('aura', 'durable', '0000beef', 0.8)
    ]
    assert [(int(row['seq']), float(row['row_2']), float(row['row_3'])) for row in rows] == [(4, 0.5, 0.0)]


def test_an_empty_model_yields_headers_only(tmp_path):
    for path in save_csv(MonitorModel(), tmp_path / 'empty'):
        assert path.suffix == '.csv'
        assert table(path) == []
        assert path.read_text().startswith('stamp_s,')


def test_a_paused_model_saves_its_paused_history(model, tmp_path):
    model.paused = True
    model.ingest(GatePoint(200.0, 'a', 6, 0.25, 0.5, False, 1.5, 40.0, 4224, AURA), 0.0)
    assert len(table(save_csv(model, tmp_path / 'out.csv')[0])) == 12


def test_an_error_keeps_the_tables_that_are_already_saved(model, tmp_path):
    with pytest.raises(OSError):
        save_csv(model, tmp_path / 'missing' / 'out.csv')
    (tmp_path / 'out_rows.csv').mkdir()
    with pytest.raises(OSError):
        save_csv(model, tmp_path / 'out.csv')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['out.csv', 'out_rows.csv', 'out_writes.csv']


def test_a_write_with_unknown_policy_and_durability_is_saved(model, tmp_path):
    model.ingest(WritePoint(102.0, 'a', 5, 7, 0.8, 0.5, 2.0, 0.1, 0.3, 1, 4224, 8192, 0.0, 1, 9), 0.0)
    last = table(save_csv(model, tmp_path / 'out.csv')[1])[-1]
    assert (last['policy'], last['durability']) == ('policy 7', '9')
