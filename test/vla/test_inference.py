# SPDX-License-Identifier: Apache-2.0
"""One worker, the newest job only."""

import queue
import threading

from aura_ros.vla.inference import Backoff, LatestOnlyWorker


def collecting(work):
    """A worker, and a queue of what it delivers: a job with its result or error."""
    outcomes = queue.Queue()
    worker = LatestOnlyWorker(
        work, lambda job, result, _: outcomes.put((job, result)), lambda job, error: outcomes.put((job, error))
    )
    return worker, outcomes


def test_results_come_in_order_with_their_job():
    worker, outcomes = collecting(lambda job: job * 2)
    for job in (1, 2):
        worker.submit(job)
        assert outcomes.get(timeout=10) == (job, job * 2)
    assert worker.stop(10)


def test_a_job_that_is_replaced_is_dropped_and_counted():
    free, busy = threading.Event(), threading.Event()

    def work(job):
        busy.set()
        assert free.wait(10)
        return job

    worker, outcomes = collecting(work)
    worker.submit('first')
    assert busy.wait(10)
    assert worker.busy_s > 0
    dropped = [worker.submit(job) for job in ('second', 'third', 'fourth')]
    free.set()
    assert [outcomes.get(timeout=10)[1] for _ in range(2)] == ['first', 'fourth']
    assert dropped == [False, True, True] and worker.dropped == 2
    assert worker.stop(10)


def test_an_exception_is_delivered_and_the_worker_goes_on():
    worker, outcomes = collecting(lambda job: 1 / job)
    worker.submit(0)
    assert isinstance(outcomes.get(timeout=10)[1], ZeroDivisionError)
    worker.submit(1)
    assert outcomes.get(timeout=10) == (1, 1)
    assert worker.stop(10)


def test_stop_returns_although_a_job_hangs():
    free, busy = threading.Event(), threading.Event()

    def work(_):
        busy.set()
        free.wait(20)

    worker, _ = collecting(work)
    worker.submit(1)
    assert busy.wait(10)
    assert not worker.stop(0.2)
    free.set()


def test_backoff_doubles_up_to_the_longest():
    backoff = Backoff(0.1, 0.4)
    assert [backoff.failed() for _ in range(4)] == [0.1, 0.2, 0.4, 0.4]
    assert backoff.waiting and backoff.failures == 4
    backoff.succeeded()
    assert not backoff.waiting and backoff.failed() == 0.1
