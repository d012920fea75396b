# SPDX-License-Identifier: Apache-2.0
"""The replay benchmark: counts are checked, times and sizes only for presence."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from aura_ros.bench import cli


def test_command_writes_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('pyarrow')
    assert cli.main(['replay', '--steps', '40,80', '--output', str(tmp_path)]) == 0
    with (tmp_path / 'replay.csv').open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [int(row['steps']) for row in rows] == [40, 80]
    assert [float(row['recorded_s']) for row in rows] == [8.0, 16.0]
    assert all(0 < int(row['writes']) < int(row['steps']) for row in rows)
    assert all(0 < float(row['memories_s']) < float(row['in_all_s']) for row in rows)
    found = json.loads((tmp_path / 'replay.json').read_text(encoding='utf-8'))
    assert isinstance(found['growth_bytes_per_step'], float)
    assert 'B per step' in capsys.readouterr().out


def test_invalid_lengths_are_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(['replay', '--steps', '40,x']) == 2
    assert "'40,x'" in capsys.readouterr().err
