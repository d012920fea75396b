# SPDX-License-Identifier: Apache-2.0
"""One worker, the newest job only."""

import queue
import threading

from aura_ros.vla.inference import Backoff, LatestOnlyWorker


def test_results_come_in_order_with_their_job():
    outcomes = queue.Queue()
    worker = LatestOnlyWorker(lambda job: job * 2, outcomes.put)
    for job in (1, 2):
        worker.submit(job)
        outcome = outcomes.get(timeout=10)
        assert (outcome.job, outcome.result, outcome.error) == (job, job * 2, None)
    assert worker.stop(10)


def test_a_job_that_is_overtaken_is_dropped_and_counted():
    outcomes, free, busy = queue.Queue(), threading.Event(), threading.Event()

    def work(job):
        busy.set()
        assert free.wait(10)
        return job

    worker = LatestOnlyWorker(work, outcomes.put)
    worker.submit('first')
    assert busy.wait(10)
    assert worker.busy_s > 0
    dropped = [worker.submit(job) for job in ('second', 'third', 'fourth')]
    free.set()
    assert [outcomes.get(timeout=10).result for _ in range(2)] == ['first', 'fourth']
    assert dropped == [False, True, True] and worker.dropped == 2
    assert worker.stop(10)


def test_an_exception_is_an_outcome_and_the_worker_lives_on():
    outcomes = queue.Queue()
    worker = LatestOnlyWorker(lambda job: 1 / job, outcomes.put)
    worker.submit(0)
    assert isinstance(outcomes.get(timeout=10).error, ZeroDivisionError)
    worker.submit(1)
    assert outcomes.get(timeout=10).result == 1
    assert worker.stop(10)


def test_a_job_that_hangs_does_not_hold_up_stop_for_ever():
    free, busy = threading.Event(), threading.Event()

    def work(_):
        busy.set()
        free.wait(20)

    worker = LatestOnlyWorker(work, lambda outcome: None)
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
