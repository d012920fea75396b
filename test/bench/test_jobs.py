# SPDX-License-Identifier: Apache-2.0
"""Jobs in worker processes: stored runs are reused, new ones stored, failures named."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from aura_ros.bench.jobs import Job, run_jobs
from aura_ros.bench.store import ResultStore

# Functions of the standard library, because a worker cannot import a test.


def quiet() -> Console:
    return Console(file=io.StringIO(), width=110, highlight=False)


def job(key: str, **row: object) -> Job:
    return Job(key, json.loads, (json.dumps(row),))


def test_rows_have_the_order_of_the_jobs_and_are_stored(tmp_path: Path) -> None:
    store, console = ResultStore(tmp_path, 'table', {}), quiet()
    rows = run_jobs([job(f'run-{i}', value=i) for i in range(3)], store, console, workers=2)
    assert rows == {f'run-{i}': {'value': i} for i in range(3)}
    assert list(rows) == ['run-0', 'run-1', 'run-2']
    assert ResultStore(tmp_path, 'table', {}).get('run-2') == {'value': 2}
    assert console.file.getvalue().splitlines()[-1].startswith('table: 3/3')  # type: ignore[attr-defined]


def test_stored_runs_are_not_repeated(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, 'table', {})
    store.add('run-0', {'value': 'old'})
    rows = run_jobs([job('run-0', value='new'), job('run-1', value='new')], store, quiet(), workers=2)
    assert rows == {'run-0': {'value': 'old'}, 'run-1': {'value': 'new'}}


def test_failure_names_its_job_and_keeps_finished_runs(tmp_path: Path) -> None:
    store, console = ResultStore(tmp_path, 'table', {}), quiet()
    jobs = [job('good', value=1), Job('bad', json.loads, ('no JSON',)), job('later', value=1)]
    with pytest.raises(json.JSONDecodeError):
        run_jobs(jobs, store, console, workers=1)
    assert 'the job bad failed' in console.file.getvalue()  # type: ignore[attr-defined]
    assert ResultStore(tmp_path, 'table', {}).get('good') == {'value': 1}
    assert run_jobs([jobs[0], jobs[2]], store, quiet(), workers=1)['later'] == {'value': 1}


def test_workers_have_one_thread_and_environment_is_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('OMP_NUM_THREADS', '7')
    asked = Job('threads', eval, ("{'threads': __import__('os').environ['OMP_NUM_THREADS']}",))
    assert run_jobs([asked], ResultStore(tmp_path, 'table', {}), quiet(), 1) == {'threads': {'threads': '1'}}
    assert os.environ['OMP_NUM_THREADS'] == '7'
