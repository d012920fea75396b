# SPDX-License-Identifier: Apache-2.0
"""Runs in other processes: what is there is taken, what is new is kept, what fails is named."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from aura_ros.bench.jobs import Job, run_jobs
from aura_ros.bench.store import ResultStore

# functions of the standard library: another process cannot import a test


def quiet() -> Console:
    return Console(file=io.StringIO(), width=110, highlight=False)


def job(key: str, **row: object) -> Job:
    return Job(key, json.loads, (json.dumps(row),))


def test_rows_come_in_the_order_of_the_jobs_and_are_kept(tmp_path: Path) -> None:
    store, console = ResultStore(tmp_path, 'table', {}), quiet()
    rows = run_jobs([job(f'run-{i}', value=i) for i in range(3)], store, console, workers=2)
    assert rows == {f'run-{i}': {'value': i} for i in range(3)}
    assert list(rows) == ['run-0', 'run-1', 'run-2']
    assert ResultStore(tmp_path, 'table', {}).get('run-2') == {'value': 2}
    assert console.file.getvalue().splitlines()[-1].startswith('table: 3/3')  # type: ignore[attr-defined]


def test_what_the_store_has_is_not_run_again(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, 'table', {})
    store.add('run-0', {'value': 'old'})
    rows = run_jobs([job('run-0', value='new'), job('run-1', value='new')], store, quiet(), workers=2)
    assert rows == {'run-0': {'value': 'old'}, 'run-1': {'value': 'new'}}


def test_a_failure_names_its_job_and_keeps_what_is_done(tmp_path: Path) -> None:
    store, console = ResultStore(tmp_path, 'table', {}), quiet()
    jobs = [job('good', value=1), Job('bad', json.loads, ('no JSON',)), job('later', value=1)]
    with pytest.raises(json.JSONDecodeError):
        run_jobs(jobs, store, console, workers=1)
    assert 'the job bad failed' in console.file.getvalue()  # type: ignore[attr-defined]
    assert ResultStore(tmp_path, 'table', {}).get('good') == {'value': 1}
    assert run_jobs([jobs[0], jobs[2]], store, quiet(), workers=1)['later'] == {'value': 1}


def test_a_process_has_one_thread_and_the_environment_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('OMP_NUM_THREADS', '7')
    asked = Job('threads', eval, ("{'threads': __import__('os').environ['OMP_NUM_THREADS']}",))
    assert run_jobs([asked], ResultStore(tmp_path, 'table', {}), quiet(), 1) == {'threads': {'threads': '1'}}
    assert os.environ['OMP_NUM_THREADS'] == '7'
