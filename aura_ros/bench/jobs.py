# SPDX-License-Identifier: Apache-2.0
"""Independent runs on several cores, each kept as soon as it is finished."""

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
    """Its name in the store."""
    function: Callable[..., dict[str, Any]]
    """Makes the row of the run; at the top level of a module, for another process imports it."""
    arguments: tuple[Any, ...] = ()
    """Of the function; they must be picklable."""


def run_jobs(jobs: Sequence[Job], store: ResultStore, console: Console, workers: int) -> dict[str, dict[str, Any]]:
    """Make what the store does not have yet, with a bar.

    Each process is given one thread for its arithmetic: small matrices are slower with more.

    Args:
        jobs: what is wanted.
        store: runs it has are taken from it, others are added.
        console: for the bar, and for the key of a job that fails.
        workers: processes at a time.

    Returns:
        the rows by key, in the order of `jobs`.

    Raises:
        Exception: what the first job that failed raised; the others are stopped.
        KeyboardInterrupt: Ctrl-C; what is finished is kept.
    """
    missing = [job for job in jobs if store.get(job.key) is None]
    if missing:
        with (
            Bar(console, store.name, len(jobs), len(jobs) - len(missing)) as bar,
            _processes(min(workers, len(missing))) as pool,
        ):
            begun = {pool.submit(job.function, *job.arguments): job.key for job in missing}
            for future in as_completed(begun):
                store.add(begun[future], _result(future, begun[future], console))
                bar.advance(text=begun[future])
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
    """A pool that is gone at the end, at once if it ends with an error."""
    context = multiprocessing.get_context('spawn')  # a fork would inherit torch's threads in an unknown state
    before, kept = multiprocessing.active_children(), os.environ.get('OMP_NUM_THREADS')
    os.environ['OMP_NUM_THREADS'] = '1'  # read when NumPy is loaded, so it has to be there when a process begins
    pool = ProcessPoolExecutor(count, context, _begin)
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


def _begin() -> None:
    """In each process: end without a word at Ctrl-C, and with the process that asked for the work."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
