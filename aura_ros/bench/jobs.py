# SPDX-License-Identifier: Apache-2.0
"""Independent runs in parallel processes; each result is stored as soon as it is available."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape

from aura_ros.bench.store import ResultStore
from aura_ros.common.progress import Bar


@dataclass(frozen=True)
class Job:
    """One run."""

    key: str
    """Name of the run in the store."""
    function: Callable[..., dict[str, Any]]
    """Returns the row of the run. It is defined at the top level of a module, because worker processes import it."""
    arguments: tuple[Any, ...] = ()
    """Arguments of the function; must be picklable."""


def run_jobs(jobs: Sequence[Job], store: ResultStore, console: Console, workers: int) -> dict[str, dict[str, Any]]:
    """Run the jobs that the store does not have yet, with a progress bar.

    Each process computes with one thread, because small matrices are slower with more.

    Args:
        jobs: the runs.
        store: stored runs are taken from it; new ones are added.
        console: output of the bar and of the key of a failed job.
        workers: number of parallel processes.

    Returns:
        the rows by key, in the order of `jobs`.

    Raises:
        Exception: the exception of the first failed job; the other jobs are stopped.
        KeyboardInterrupt: Ctrl-C; finished runs stay stored.
    """
    missing = [job for job in jobs if store.get(job.key) is None]
    if missing:
        with (
            Bar(console, store.name, len(jobs), len(jobs) - len(missing)) as bar,
            _processes(min(workers, len(missing))) as pool,
        ):
            submitted = {pool.submit(job.function, *job.arguments): job.key for job in missing}
            for future in as_completed(submitted):
                store.add(submitted[future], _result(future, submitted[future], console))
                bar.advance(text=submitted[future])
    rows = {job.key: store.get(job.key) for job in jobs}
    return {key: row for key, row in rows.items() if row is not None}


def _result(future: Future[dict[str, Any]], key: str, console: Console) -> dict[str, Any]:
    try:
        return future.result()
    except BaseException:
        console.print(f'the job {escape(key)} failed')
        raise


@contextmanager
def _processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a process pool; an exception terminates its processes at once."""
    context = multiprocessing.get_context('spawn')  # A fork would inherit the threads of torch in an unknown state.
    before, kept = multiprocessing.active_children(), os.environ.get('OMP_NUM_THREADS')
    os.environ['OMP_NUM_THREADS'] = '1'  # NumPy reads it when a process imports it.
    pool = ProcessPoolExecutor(count, context, _prepare_worker)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            if process not in before:
                process.terminate()
        raise
    finally:
        pool.shutdown()
        if kept is None:
            del os.environ['OMP_NUM_THREADS']
        else:
            os.environ['OMP_NUM_THREADS'] = kept


def _prepare_worker() -> None:
    """Prepare a worker: exit silently on SIGINT, and when the parent process ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
