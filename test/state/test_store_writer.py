# SPDX-License-Identifier: Apache-2.0
"""The thread that commits: no step waits, the newest state is committed, failures are retried, it ends cleanly."""

import errno
import os
import threading
import time

import numpy as np
import pytest

from aura_ros.common.errors import StateError
from aura_ros.state.device import Device
from aura_ros.state.format import FILE_BYTES, SLOT_BYTES, Snapshot
from aura_ros.state.store import StateStore
from aura_ros.state.writer import StateWriter

POLICY, LAYOUT, SIZE = 'ab' * 32, '<f4[32,32] <f4[32]', 4224
LONG_S = 30.0  # for what should come at once, on a busy machine


def snapshot(seq):
    return Snapshot(np.full(SIZE // 4, seq, '<f4').tobytes(), 'episode-1', seq, seq)


class Gate(Device):
    """Storage that waits or fails as long as a test wants."""

    def __init__(self):
        self.open_gate, self.reached, self.error = threading.Event(), threading.Event(), 0
        self.open_gate.set()

    def sync(self, fd):
        self.reached.set()
        assert self.open_gate.wait(LONG_S)
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        super().sync(fd)

    def open(self, path, *, write=True, create=False):
        if self.error and write:
            raise OSError(self.error, os.strerror(self.error))
        return super().open(path, write=write, create=create)


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'state'


@pytest.fixture
def start(path, gate):
    """A function (on_change, retry_s) -> writer on `path`; closed at the end."""
    writers = []

    def make(on_change=lambda: None, retry_s=0.01):
        writers.append(StateWriter(StateStore(path, POLICY, LAYOUT, SIZE, gate), on_change, retry_s))
        return writers[-1]

    yield make
    gate.error = 0
    gate.open_gate.set()
    for writer in writers:
        writer.close(LONG_S)


def kept(path):
    store = StateStore(path, POLICY, LAYOUT, SIZE)
    found = store.load()
    store.close()
    return None if found is None else found.snapshot


def until(condition):
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_flushed_state_is_durable(start, path):
    writer = start()
    assert (writer.durable_ticket, writer.durable, writer.problem) == (0, None, '')
    tickets = [writer.submit(snapshot(seq)) for seq in range(20)]
    assert tickets == list(range(1, 21))
    assert writer.flush(LONG_S)
    assert (writer.durable_ticket, writer.durable, writer.failures) == (20, snapshot(19), 0)
    assert writer.meter.commits >= 1
    assert writer.close(LONG_S)
    assert kept(path) == snapshot(19)


def test_submit_never_waits_and_the_newest_state_is_committed(start, gate):
    writer = start()
    writer.submit(snapshot(0))
    assert writer.flush(LONG_S)
    gate.open_gate.clear()
    gate.reached.clear()
    writer.submit(snapshot(1))
    assert gate.reached.wait(LONG_S)
    for seq in range(2, 500):
        writer.submit(snapshot(seq))  # the writer waits for the storage: waiting here would time out
    assert writer.durable_ticket == 1
    gate.open_gate.set()
    assert writer.flush(LONG_S)
    assert (writer.durable, writer.meter.commits) == (snapshot(499), 3)


def test_a_ticket_is_durable_only_when_its_state_or_a_newer_one_is(start, gate):
    writer = start()
    gate.open_gate.clear()
    first = writer.submit(snapshot(0))
    assert gate.reached.wait(LONG_S)
    second = writer.submit(snapshot(1))
    assert not writer.flush(0.05)
    assert writer.durable_ticket < first
    gate.open_gate.set()
    assert writer.flush(LONG_S)
    assert writer.durable_ticket == second


@pytest.mark.fault('F4')
@pytest.mark.parametrize('error', [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_failing_storage_is_reported_and_recovers(start, gate, path, measured, error):
    reported = threading.Event()
    writer = start(reported.set)
    writer.submit(snapshot(0))
    assert writer.flush(LONG_S)
    reported.clear()
    gate.error = error
    began = time.monotonic()
    writer.submit(snapshot(1))
    assert reported.wait(LONG_S)
    reported_ms = (time.monotonic() - began) * 1e3
    assert os.strerror(error) in writer.problem and str(path) in writer.problem
    last = writer.submit(snapshot(2))
    until(lambda: writer.failures >= 4)
    assert writer.durable == snapshot(0)
    gate.error = 0
    until(lambda: writer.durable_ticket == last)
    assert writer.problem == ''
    assert writer.close(LONG_S)
    assert kept(path) == snapshot(2)
    measured(f'{errno.errorcode[error]}: reported after {reported_ms:.0f} ms, recovered with the newest state')


@pytest.mark.fault('F4')
def test_a_retry_waits_but_a_flush_does_not(start, gate):
    writer = start(retry_s=3600.0)
    gate.error = errno.EIO
    writer.submit(snapshot(0))
    until(lambda: writer.failures == 1)
    assert not writer.flush(LONG_S)  # tried at once, failed at once
    assert writer.failures == 2
    gate.error = 0
    assert writer.flush(LONG_S)
    assert writer.durable == snapshot(0)


def test_each_commit_and_failure_is_reported_in_the_writers_thread(start, gate):
    names = []
    writer = start(lambda: names.append(threading.current_thread().name))
    writer.submit(snapshot(0))
    assert writer.flush(LONG_S)
    gate.error = errno.EIO
    writer.submit(snapshot(1))
    until(lambda: len(names) >= 3)
    assert set(names) == {'state_writer'}


def test_a_closed_writer_releases_the_file_and_takes_no_more(start, path):
    writer = start()
    writer.submit(snapshot(3))
    assert writer.close(LONG_S)
    assert writer.close(LONG_S)
    assert kept(path) == snapshot(3)
    with pytest.raises(StateError, match='writer is closed'):
        writer.submit(snapshot(4))


def test_close_reports_a_state_that_is_not_durable(start, gate, path):
    writer = start(retry_s=3600.0)
    writer.submit(snapshot(0))
    assert writer.flush(LONG_S)
    gate.error = errno.EIO
    writer.submit(snapshot(1))
    assert not writer.close(LONG_S)
    gate.error = 0
    assert kept(path) in (snapshot(0), snapshot(1))  # the file is free; what was not promised may have arrived


def test_close_does_not_wait_for_storage_that_hangs(start, gate):
    writer = start()
    gate.open_gate.clear()
    writer.submit(snapshot(0))
    assert gate.reached.wait(LONG_S)
    began = time.monotonic()
    assert not writer.close(0.1)
    assert time.monotonic() - began < LONG_S / 2


@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadExceptionWarning')
def test_a_bug_does_not_report_a_durable_state(start, path):
    def broken():
        raise RuntimeError('a bug in the callback')

    writer = start(broken)
    writer.submit(snapshot(0))
    until(lambda: 'a bug in the callback' in writer.problem)
    assert not writer.close(LONG_S) or writer.durable_ticket == 1
    with pytest.raises(StateError):
        writer.submit(snapshot(1))
    assert kept(path) == snapshot(0)


def test_the_meter_counts_the_bytes_of_the_storage(start):
    writer = start()
    for seq in range(3):
        writer.submit(snapshot(seq))
        assert writer.flush(LONG_S)
    meter = writer.meter
    assert (meter.commits, meter.logical_bytes) == (3, 3 * SIZE)
    assert meter.device_bytes == FILE_BYTES + 4 * SLOT_BYTES
