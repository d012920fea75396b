# SPDX-License-Identifier: Apache-2.0
"""A state file on storage that fails: damaged bytes, power cuts, a full disk, errors of the device."""

import errno
import itertools
import os
import random
from functools import cache

import numpy as np
import pytest
from storage_model import PAGE, SECTOR, FastDevice, ModelDevice, PowerCut

from aura_ros.common.errors import StateDamaged, StateError
from aura_ros.state.format import FILE_BYTES, SLOT_BYTES, Snapshot
from aura_ros.state.store import StateStore

POLICY, LAYOUT, SIZE = 'ab' * 32, '<f4[32,32] <f4[32]', 4224
PATH = '/storage/state'


@cache
def snapshot(seq):
    payload = np.random.default_rng(seq + 1).normal(size=SIZE // 4).astype('<f4').tobytes()
    return Snapshot(payload, 'episode-1', seq, seq)


def open_store(path, device):
    return StateStore(path, POLICY, LAYOUT, SIZE, device)


def committed(device, path, count):
    """A file with the states 0..count-1."""
    store = open_store(path, device)
    for seq in range(count):
        store.commit(snapshot(seq))
    store.close()


# --- F2: any byte damaged ---


def load(path):
    """What a node would restore of this file: the step of the state, 'fresh' or 'refused'; and the message."""
    store = open_store(path, FastDevice())
    try:
        found = store.load()
    except StateDamaged as error:
        return 'refused', str(error)
    finally:
        store.close()
    if found is None:
        return 'fresh', ''
    assert found.snapshot == snapshot(found.snapshot.seq), 'garbage'
    return found.snapshot.seq, found.damaged


@pytest.mark.fault('F2')
@pytest.mark.parametrize('newest', [0, 1])
def test_a_flip_at_any_byte_leaves_the_other_slot(tmp_path, measured, newest):
    path, rng, results = tmp_path / 'state', random.Random(newest), []
    committed(FastDevice(), path, 2 + newest)
    good, last = path.read_bytes(), 1 + newest
    with path.open('r+b', buffering=0) as file:
        for offset in range(FILE_BYTES):
            os.pwrite(file.fileno(), bytes([good[offset] ^ rng.randrange(1, 256)]), offset)
            slot = offset // SLOT_BYTES
            seq, damaged = load(path)
            assert seq == (last - 1 if slot == newest else last), offset
            assert damaged.startswith(f'slot {slot}: '), offset
            results.append(seq)
            os.pwrite(file.fileno(), good[offset : offset + 1], offset)
    assert load(path) == (last, '')
    measured(
        f'slot {newest} newest, {len(results):,} flips: all found, {results.count(last):,} newest, '
        f'{results.count(last - 1):,} the one before'
    )


@pytest.mark.fault('F2')
@pytest.mark.parametrize('newest', [0, 1])
def test_a_cut_at_any_byte_leaves_an_intact_slot_or_is_refused(tmp_path, measured, newest):
    path, results = tmp_path / 'state', []
    committed(FastDevice(), path, 2 + newest)
    good, last = path.read_bytes(), 1 + newest
    in_first = last if newest == 0 else last - 1
    path.write_bytes(b'')
    for length in range(FILE_BYTES):
        seq, damaged = load(path)
        assert seq == ('refused' if length < SLOT_BYTES else in_first), length
        assert damaged, length
        results.append(seq)
        with path.open('ab', buffering=0) as file:
            os.ftruncate(file.fileno(), length)
            file.write(good[length : length + 1])
    assert load(path) == (last, '')
    measured(
        f'slot {newest} newest, {len(results):,} cuts: {results.count(in_first):,} slot 0, '
        f'{results.count("refused"):,} refused'
    )


@pytest.mark.fault('F2')
@pytest.mark.parametrize('offset', [0, 300, SLOT_BYTES - 1, SLOT_BYTES, FILE_BYTES - 1])
def test_the_next_commit_repairs_the_damaged_slot(tmp_path, offset):
    path = tmp_path / 'state'
    committed(FastDevice(), path, 3)
    with path.open('r+b') as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x10]))
    store = open_store(path, FastDevice())
    store.commit(snapshot(7))
    store.close()
    assert load(path) == (7, '')


@pytest.mark.fault('F2')
def test_two_damaged_slots_are_a_loss_and_not_a_fresh_start(tmp_path):
    path = tmp_path / 'state'
    committed(FastDevice(), path, 3)
    damaged = bytearray(path.read_bytes())
    damaged[400] ^= 1
    damaged[SLOT_BYTES + 400] ^= 1
    path.write_bytes(damaged)
    outcome, said = load(path)
    assert outcome == 'refused'
    assert 'slot 0: its CRC-32' in said and 'slot 1: its CRC-32' in said and 'allow_fresh_start' in said


# --- F3: power cuts ---


class Cutting:
    """Cuts the power before the n-th system call that changes something, and keeps what the storage may then have."""

    def __init__(self, device, at, outcomes):
        self.left, self.found, self._device, self._outcomes = at, [], device, outcomes
        device.before = self

    def __call__(self, call):
        if call in ('read', 'open_read'):
            return
        if self.left == 0:
            self.found = list(self._outcomes(self._device))
            raise PowerCut
        self.left -= 1


def run_until_cut(device, at, outcomes, script):
    """Run a script of ('commit', 'fail', 'remove') up to a power cut.

    Returns the media it may leave, the last seq that was promised (None: none), and the last handed over.
    """
    cutting, promised, tried = Cutting(device, at, outcomes), None, None
    try:
        store = open_store(PATH, device)
        for tried, action in enumerate(script):
            if action == 'remove':
                device.remove(store.path)
                promised = None  # whoever removes the file takes the promise back
            if action == 'fail':
                device.before = failing(errno.EIO, 'sync', cutting)
            try:
                store.commit(snapshot(tried))
                promised = tried
            except OSError:
                device.before = cutting
    except PowerCut:
        return cutting.found, promised, tried
    return None


def failing(number, calls, otherwise=lambda call: None, times=1):
    """A hook that makes the first so many `calls` fail with an errno."""
    left = itertools.count(times, -1)

    def before(call):
        if call in calls and next(left) > 0:
            raise OSError(number, os.strerror(number))
        otherwise(call)

    return before


def check_recovery(storage, promised, tried):
    """After a cut: a state no older than promised, or a fresh start if nothing was promised; then commits continue."""
    store = open_store(PATH, storage)
    found = store.load()
    if found is None:
        assert promised is None
    else:
        assert found.snapshot == snapshot(found.snapshot.seq), 'garbage'
        assert (-1 if promised is None else promised) <= found.snapshot.seq <= tried
    store.commit(snapshot(100))
    store.close()
    store = open_store(PATH, storage)
    assert store.load().snapshot == snapshot(100)
    return found


@pytest.mark.fault('F3')
@pytest.mark.parametrize(
    'script',
    [
        ('commit', 'commit', 'commit'),
        ('commit', 'fail', 'commit', 'commit'),  # into a new file after the failure
        ('commit', 'commit', 'remove', 'commit'),
        ('fail', 'commit'),
    ],
    ids=' '.join,
)
def test_any_subset_of_unsynced_pages_may_be_gone(measured, script):
    media = []
    for at in itertools.count():
        cut = run_until_cut(ModelDevice(PAGE), at, ModelDevice.outcomes, script)
        if cut is None:
            break
        for storage in cut[0]:
            check_recovery(storage, *cut[1:])
        media.append(len(cut[0]))
    assert len(media) > 2 * len(script)
    measured(f'{", ".join(script)}: cut at {len(media)} instants, all {sum(media)} subsets of pages: 0 lost')


@pytest.mark.fault('F3')
def test_any_subset_of_unsynced_sectors_may_be_gone(measured):
    rng, count = random.Random(0), 0

    def some(device):
        return [device.cut(lambda kind, number: rng.random() < 0.5) for _ in range(20)]

    for at in itertools.count():
        cut = run_until_cut(ModelDevice(SECTOR), at, some, ('commit', 'commit', 'fail', 'commit', 'commit'))
        if cut is None:
            break
        for storage in cut[0]:
            check_recovery(storage, *cut[1:])
            count += 1
    assert count > 1000
    measured(f'{count:,} random subsets of 512-byte sectors: 0 lost')


@pytest.mark.fault('F3')
def test_pages_that_a_killed_process_left_in_the_cache_do_not_count_as_durable():
    device = ModelDevice()
    committed(device, PATH, 2)
    store = open_store(PATH, device)
    device.before = failing(errno.EIO, ['sync'])
    with pytest.raises(OSError):
        store.commit(snapshot(2))  # whole in the page cache, clean, and not on the storage
    device.kill()
    store = open_store(PATH, device)
    assert store.load().snapshot == snapshot(1)
    hook = Cutting(device, 2, ModelDevice.outcomes)  # the commit under way tears the slot it writes
    with pytest.raises(PowerCut):
        store.commit(snapshot(3))
    for storage in hook.found:
        check_recovery(storage, 1, 3)


@pytest.mark.fault('F3', 'F4')
def test_a_commit_into_a_file_whose_name_is_not_durable_does_not_count():
    device = ModelDevice()
    store = open_store(PATH, device)
    store.commit(snapshot(0))
    device.before = failing(errno.EIO, ('sync',))
    with pytest.raises(OSError):
        store.commit(snapshot(1))
    device.before = failing(errno.EIO, ('sync_folder',))
    with pytest.raises(OSError):
        store.commit(snapshot(2))  # written and renamed, but the name may still be the old file's
    store.commit(snapshot(3))
    for storage in device.outcomes():
        check_recovery(storage, 3, 3)


# --- F4: the storage refuses ---


@pytest.mark.fault('F4')
@pytest.mark.parametrize(
    ('number', 'calls'),
    [
        (errno.ENOSPC, ('write', 'open_write')),
        (errno.EDQUOT, ('write',)),
        (errno.EIO, ('sync',)),
        (errno.EIO, ('write',)),
        (errno.EROFS, ('write', 'open_write', 'rename')),
        (errno.EACCES, ('open_write', 'sync')),
    ],
)
@pytest.mark.parametrize('failures', [1, 2, 3, 6])
@pytest.mark.parametrize('torn', ['none', 'first', 'all'])
def test_commits_continue_once_the_storage_works(number, calls, failures, torn):
    device = ModelDevice()
    device.torn_sync = {'none': lambda dirty: (), 'first': lambda dirty: dirty[:1], 'all': lambda dirty: dirty}[torn]
    store = open_store(PATH, device)
    store.commit(snapshot(0))
    store.commit(snapshot(1))
    device.before = failing(number, calls, times=failures)
    tries = itertools.count(2)
    for seq in tries:
        try:
            store.commit(snapshot(seq))
            break
        except OSError as error:
            assert error.errno == number
            # whatever the failure left behind, the last good state is there for the next process
            for storage in device.outcomes():
                assert check_recovery(storage, 1, seq) is not None
    assert seq - 2 <= failures
    store.commit(snapshot(seq + 1))
    device.kill()
    store = open_store(PATH, device)
    assert (store.load().snapshot, store.load().damaged) == (snapshot(seq + 1), '')
    assert not [name for name in device.names if name != PATH]


@pytest.mark.fault('F4')
def test_a_bad_block_is_left_behind(measured):
    device, broken = ModelDevice(), []

    def before(call):
        # the file as it was made is on bad blocks; any other is not
        if call == 'sync' and broken and any(file is broken[0] and file.dirty for file in device._open.values()):
            raise OSError(errno.EIO, 'Input/output error')

    device.before = before
    store = open_store(PATH, device)
    store.commit(snapshot(0))
    broken.append(device.names[PATH])
    with pytest.raises(OSError, match='Input/output'):
        store.commit(snapshot(1))
    store.commit(snapshot(2))
    store.commit(snapshot(3))
    assert device.names[PATH] is not broken[0]
    store.close()
    assert open_store(PATH, device).load().snapshot == snapshot(3)
    measured('bad block: the second try went into a new file')


@pytest.mark.fault('F4')
def test_a_read_only_file_is_restored_and_written_once_it_is_writable():
    device = ModelDevice()
    committed(device, PATH, 2)
    device.before = failing(errno.EROFS, ('open_write', 'write', 'sync', 'rename'), times=1000)
    store = open_store(PATH, device)
    assert 'Read-only' in store.problem
    assert store.load().snapshot == snapshot(1)
    for _ in range(3):
        with pytest.raises(OSError, match='Read-only'):
            store.commit(snapshot(2))
    device.before = lambda call: None
    store.commit(snapshot(3))
    assert store.problem == ''
    store.close()
    assert open_store(PATH, device).load().snapshot == snapshot(3)


@pytest.mark.fault('F4')
def test_a_newer_state_of_another_process_is_not_overwritten():
    device = ModelDevice()
    committed(device, PATH, 2)
    device.before = failing(errno.EACCES, ('open_write',))
    store = open_store(PATH, device)
    device.kill()  # our lock is gone, as if it had never been ours
    committed(device, PATH, 5)
    store._file._fd = device.open(store.path, write=False)
    store.commit(snapshot(9))
    store.close()
    store = open_store(PATH, device)
    assert store.load().snapshot == snapshot(9)


@pytest.mark.fault('F4')
def test_a_disk_that_is_full_from_the_start_is_reported_and_used_once_it_has_space():
    device = ModelDevice()
    device.before = failing(errno.ENOSPC, ('write',), times=4)
    store = open_store(PATH, device)
    assert 'No space left' in store.problem
    assert store.load() is None
    outcomes = []
    for seq in range(4):
        try:
            store.commit(snapshot(seq))
            outcomes.append('')
        except OSError as error:
            outcomes.append(error.strerror)
    assert outcomes[0] == 'No space left on device' and outcomes[-1] == ''
    store.close()
    assert open_store(PATH, device).load().snapshot == snapshot(3)


@pytest.mark.fault('F4')
def test_a_slot_that_cannot_be_read_leaves_the_other():
    device = ModelDevice()
    committed(device, PATH, 2)
    device.before = failing(errno.EIO, ('read',))  # slot 0, where the newest is
    store = open_store(PATH, device)
    found = store.load()
    assert found.snapshot == snapshot(0)
    assert found.damaged == 'slot 0: cannot be read: Input/output error'


@pytest.mark.fault('F4')
def test_a_folder_without_permission_is_an_error_at_once():
    device = ModelDevice()
    device.before = failing(errno.EACCES, ('open_write',))
    with pytest.raises(PermissionError):
        open_store(PATH, device)


@pytest.mark.fault('F4')
def test_a_closed_store_refuses_commits(tmp_path):
    store = open_store(tmp_path / 'state', None)
    store.close()
    store.close()
    with pytest.raises(StateError, match='is closed'):
        store.commit(snapshot(0))
