# SPDX-License-Identifier: Apache-2.0
"""The result store: runs are kept and settings are never mixed."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from aura_ros.bench.store import ResultStore
from aura_ros.common.errors import ConfigError
from aura_ros.common.files import plain


@dataclass(frozen=True)
class Setting:
    steps: int = 3
    name: str = 'hard'


def store(folder: Path, fresh: bool = False, **settings: object) -> ResultStore:
    return ResultStore(folder, 'table', {'task': Setting(), **settings}, fresh)


def test_run_is_stored(tmp_path: Path) -> None:
    store(tmp_path).add('aura-0', {'accuracy': np.float32(0.5), 'writes': np.int64(7)})
    assert store(tmp_path).get('aura-0') == {'accuracy': 0.5, 'writes': 7}
    assert store(tmp_path).get('aura-1') is None


def test_later_run_of_a_key_replaces_the_earlier(tmp_path: Path) -> None:
    for accuracy in (0.1, 0.2):
        store(tmp_path).add('aura-0', {'accuracy': accuracy})
    assert store(tmp_path).get('aura-0') == {'accuracy': 0.2}


def test_forgotten_run_is_made_again(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.add('a', {'x': 1})
    kept.add('b', {'x': 2})
    kept.forget('a')
    kept.forget('never stored')
    assert kept.get('a') is None and kept.get('b') == {'x': 2}
    kept.add('a', {'x': 3})
    assert store(tmp_path).get('a') == {'x': 3}


def test_runs_of_other_settings_are_ignored_and_kept(tmp_path: Path) -> None:
    store(tmp_path).add('aura-0', {'accuracy': 1.0})
    other = store(tmp_path, quick=True)
    assert other.get('aura-0') is None
    other.add('aura-0', {'accuracy': 0.2})
    assert store(tmp_path).get('aura-0') == {'accuracy': 1.0}


def test_fresh_deletes_only_the_runs_of_its_settings(tmp_path: Path) -> None:
    store(tmp_path).add('aura-0', {'accuracy': 1.0})
    store(tmp_path, quick=True).add('aura-0', {'accuracy': 0.2})
    assert store(tmp_path, fresh=True).get('aura-0') is None
    assert store(tmp_path, quick=True).get('aura-0') == {'accuracy': 0.2}


def test_incomplete_last_line_is_ignored_and_removed(tmp_path: Path) -> None:
    first = store(tmp_path)
    first.add('aura-0', {'accuracy': 1.0})
    runs = tmp_path / 'table' / 'runs.jsonl'
    whole = runs.read_bytes()
    first.add('aura-1', {'accuracy': 0.9})
    for cut in range(len(whole) + 1, len(runs.read_bytes())):
        runs.write_bytes((whole + whole)[:cut])
        second = store(tmp_path)
        assert second.get('aura-0') == {'accuracy': 1.0}
        second.add('aura-2', {'accuracy': 0.3})
        assert store(tmp_path).get('aura-2') == {'accuracy': 0.3}


def test_table_has_all_columns(tmp_path: Path) -> None:
    rows = [{'memory': 'aura', 'writes': 12.5}, {'memory': 'kv', 'bytes': math.inf, 'seeds': (0, 1)}]
    store(tmp_path).write(rows, {'seeds': (0, 1)})
    with (tmp_path / 'table.csv').open(encoding='utf-8') as file:
        table = list(csv.DictReader(file))
    assert table == [
        {'memory': 'aura', 'writes': '12.5', 'bytes': '', 'seeds': ''},
        {'memory': 'kv', 'writes': '', 'bytes': '', 'seeds': '[0, 1]'},
    ]
    found = json.loads((tmp_path / 'table.json').read_text(encoding='utf-8'))
    assert found['settings'] == {'task': {'steps': 3, 'name': 'hard'}}
    assert found['seeds'] == [0, 1] and found['rows'][1]['bytes'] is None
    assert {'python', 'numpy'} <= set(found['versions'])


def test_folder_of_the_weights_exists(tmp_path: Path) -> None:
    path = store(tmp_path).weights('aura-0')
    assert path == tmp_path / 'table' / 'weights' / 'aura-0.safetensors'
    assert path.parent.is_dir()


def test_error_names_an_unusable_folder(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError, match=r'output = .*file'):
        store(tmp_path / 'file')


def test_value_without_json_form_is_rejected() -> None:
    with pytest.raises(TypeError, match='object'):
        plain({'bad': object()})
