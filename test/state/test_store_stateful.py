# SPDX-License-Identifier: Apache-2.0
"""No sequence of commits, failures, kills, power cuts and damage loses a durable state unnoticed."""

import errno
import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from storage_model import PAGE, SECTOR, ModelDevice, PowerCut

from aura_ros.common.errors import StateError, StateMismatch
from aura_ros.state.format import FILE_BYTES, SLOT_BYTES, Snapshot
from aura_ros.state.store import StateStore

POLICIES = ('ab' * 32, 'cd' * 32)
LAYOUT, SIZE = '<f4[300,4]', 4800
PATH = '/storage/state'
CALLS = ('write', 'sync', 'rename', 'sync_folder', 'open_write')


def snapshot(seq):
    return Snapshot(seq.to_bytes(4, 'little') * (SIZE // 4), f'episode-{seq % 3}', seq, seq // 2)


class StoreMachine(RuleBasedStateMachine):
    """One store on modelled storage.

    promised: seq of the newest commit that returned; None before the first.
    before: of the commit before that one.
    whole: both slots hold a state, because the last commit returned and nothing went wrong since.
    """

    @initialize(unit=st.sampled_from([PAGE, SECTOR]))
    def begin(self, unit):
        self.device = ModelDevice(unit)
        self.tried = -1
        self.promised = self.before = None
        self.whole = False
        self.store = StateStore(PATH, POLICIES[0], LAYOUT, SIZE, self.device)

    def teardown(self):
        if hasattr(self, 'device'):
            self.device.before = lambda call: None
            self.reopen()
            self.commit()

    @rule()
    def commit(self):
        self.tried += 1
        self.store.commit(snapshot(self.tried))
        self.before, self.promised = (self.tried if self.promised is None else self.promised), self.tried
        self.whole = True

    @rule(
        call=st.sampled_from(CALLS),
        skip=st.integers(0, 3),
        error=st.sampled_from([errno.EIO, errno.ENOSPC, errno.EROFS]),
        data=st.data(),
    )
    def commit_on_failing_storage(self, call, skip, error, data):
        left = [skip]

        def before(name):
            if name == call:
                left[0] -= 1
                if left[0] == -1:
                    raise OSError(error, os.strerror(error))

        self.device.before = before
        self.device.torn_sync = lambda dirty: data.draw(st.lists(st.sampled_from(dirty), unique=True)) if dirty else []
        try:
            self.commit()
        except OSError:
            self.whole = False
        finally:
            self.device.before = lambda name: None

    @rule(data=st.data(), calls=st.integers(0, 12))
    def power_cut_during_a_commit(self, data, calls):
        left, device = [calls], self.device

        def before(name):
            left[0] -= 1
            if left[0] < 0:
                self.device = device.cut(lambda kind, number: data.draw(st.booleans(), label=f'{kind} {number}'))
                raise PowerCut

        device.before = before
        try:
            self.commit()
            device.before = lambda name: None
            self.device = device.cut(lambda kind, number: False)  # after the commit nothing may be open any more
        except PowerCut:
            self.whole = False
        self.reopen()

    @rule()
    def kill(self):
        self.device.kill()
        self.reopen()

    @rule()
    def end(self):
        self.store.close()
        self.reopen()

    @precondition(lambda self: self.whole)
    @rule(offset=st.integers(0, FILE_BYTES - 1))
    def flip_a_byte(self, offset):
        self.device.kill()
        self.device.flip(self.store.path, offset)
        self.promised = min(self.before, self.promised)
        self.whole = False
        self.reopen()
        assert self.store.load().damaged.startswith(f'slot {offset // SLOT_BYTES}: ')
        self.commit()  # mends it; until then a second fault could take the only slot

    @precondition(lambda self: self.whole)
    @rule(offset=st.integers(0, FILE_BYTES - 1))
    def flip_a_byte_in_use(self, offset):
        self.device.flip(self.store.path, offset)
        self.commit()  # mends both slots, whichever was damaged

    @rule()
    def open_for_another_policy(self):
        self.device.kill()
        before = self.device.names
        store = StateStore(PATH, POLICIES[1], LAYOUT, SIZE, self.device)
        try:
            assert store.load() is None
        except StateMismatch:
            assert self.tried >= 0
        else:
            assert self.promised is None
        assert self.device.names == before
        self.device.kill()
        self.reopen()

    @invariant()
    def a_second_store_is_refused(self):
        if str(self.store.path) in self.device.names:
            with pytest.raises(StateError, match='in use'):
                StateStore(PATH, POLICIES[0], LAYOUT, SIZE, self.device)

    def reopen(self):
        """Open the file as the next process does, and hold what it gives against what was promised."""
        self.device.kill()
        self.store = StateStore(PATH, POLICIES[0], LAYOUT, SIZE, self.device)
        found = self.store.load()
        if found is None:
            assert self.promised is None
            return
        seq = found.snapshot.seq
        assert found.snapshot == snapshot(seq), 'garbage'
        assert (-1 if self.promised is None else self.promised) <= seq <= self.tried
        # it was read from the storage, so the next process reads it as well
        self.promised = seq


class LongStoreMachine(StoreMachine):
    """The same with more and longer sequences."""


StoreMachine.TestCase.settings = settings(
    max_examples=50, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
LongStoreMachine.TestCase.settings = settings(
    max_examples=1500, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.fault('F2', 'F3', 'F4')
class TestStore(StoreMachine.TestCase):
    """Any sequence."""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.fault('F2', 'F3', 'F4')
class TestStoreLong(LongStoreMachine.TestCase):
    """Any sequence, for minutes."""
