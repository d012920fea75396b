# SPDX-License-Identifier: Apache-2.0
"""A state file in use: its content, its memory, and its lock."""

import os
import signal
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest

from aura_ros.common.errors import StateDamaged, StateError, StateLocked, StateMismatch
from aura_ros.memory import load_memory, state_crc
from aura_ros.state.device import Device
from aura_ros.state.format import EMPTY_SLOT, FILE_BYTES, SLOT_BYTES, SLOTS, Identity, Snapshot, pack
from aura_ros.state.store import StateStore

POLICY, LAYOUT, SIZE = 'ab' * 32, '<f4[32,32] <f4[32]', 4224


def snapshot(seq, writes=1, episode='episode-1'):
    payload = np.random.default_rng(seq + 1).normal(size=SIZE // 4).astype('<f4').tobytes()
    return Snapshot(payload, episode, seq, writes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'state'


@pytest.fixture
def opened(path):
    """A function (policy, layout, size) -> store on `path`; closed at the end."""
    stores = []

    def open_store(policy=POLICY, layout=LAYOUT, size=SIZE, device=None):
        stores.append(StateStore(path, policy, layout, size, device))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


def test_a_new_file_has_its_full_size_and_no_state(opened, path):
    assert opened().load() is None
    assert path.stat().st_size == FILE_BYTES


def test_the_newest_state_is_loaded(opened):
    store = opened()
    commits = [store.commit(snapshot(seq)) for seq in range(5)]
    assert [commit.generation for commit in commits] == [2, 3, 4, 5, 6]
    assert [commit.slot for commit in commits] == [1, 0, 1, 0, 1]
    store.close()
    found = opened().load()
    assert found is not None
    assert (found.snapshot, found.generation, found.slot, found.damaged) == (snapshot(4), 6, 1, '')


def test_a_commit_after_the_first_writes_one_slot(opened):
    store = opened()
    assert store.commit(snapshot(0)).device_bytes == FILE_BYTES + 2 * SLOT_BYTES  # made, then both slots
    assert store.commit(snapshot(1)).device_bytes == SLOT_BYTES


def test_a_memory_continues_from_its_file_bit_for_bit(path):
    memory, rng = load_memory('aura'), np.random.default_rng(0)
    steps = [(rng.normal(size=memory.feature_dim).astype(np.float32), np.zeros((8, 8), np.float32)) for _ in range(40)]
    for step in steps[:30]:
        memory.step(*step)
    store = StateStore(path, memory.memory_hash, memory.state_layout, memory.state_bytes)
    store.commit(Snapshot(memory.export(), 'e', 29, memory.writes))
    store.close()
    other = load_memory('aura')
    store = StateStore(path, other.memory_hash, other.state_layout, other.state_bytes)
    other.restore(store.load().snapshot.payload)
    store.close()
    assert state_crc(other) == state_crc(memory)
    assert [other.step(*step).action.tobytes() for step in steps[30:]] == [
        memory.step(*step).action.tobytes() for step in steps[30:]
    ]


def test_a_memory_that_grows_is_refused(path):
    cache = load_memory('kv')
    with pytest.raises(StateError, match='does not grow'):
        StateStore(path, cache.memory_hash, cache.state_layout, cache.state_bytes)
    with pytest.raises(StateError, match='7680 bytes'):
        StateStore(path, POLICY, '<f4[2000]', 8000)
    assert not path.exists()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((POLICY, '<f4[32]', 4224), 'does not describe 4224 bytes'),
        ((POLICY, 'O[2]', 16), 'is not an array'),
        ((POLICY, '', 0), 'is not an array'),
        (('', LAYOUT, SIZE), '64 hexadecimal'),
        ((POLICY, ' '.join(['<f4[1]'] * 30), 120), 'at most 128 characters'),
    ],
)
def test_a_state_that_cannot_be_described_is_refused(path, arguments, message):
    with pytest.raises(StateError, match=message):
        StateStore(path, *arguments)


@pytest.mark.parametrize(
    ('bad', 'message'),
    [
        (Snapshot(b'short', 'e', 0, 0), 'state of 4224 bytes is expected, got 5'),
        (Snapshot(np.full(SIZE // 4, np.nan, '<f4').tobytes(), 'e', 0, 0), 'not finite'),
        (Snapshot(bytes(SIZE), 'e' * 37, 0, 0), 'at most 36 ASCII'),
        (Snapshot(bytes(SIZE), 'früh', 0, 0), 'at most 36 ASCII'),
        (Snapshot(bytes(SIZE), 'e', -2, 0), 'seq must be'),
        (Snapshot(bytes(SIZE), 'e', 0, -1), 'writes must be'),
    ],
)
def test_a_state_that_could_not_be_restored_is_not_kept(opened, path, bad, message):
    store = opened()
    store.commit(snapshot(3))
    before = path.read_bytes()
    with pytest.raises(StateError, match=message):
        store.commit(bad)
    assert path.read_bytes() == before
    store.commit(snapshot(4))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(StateError, match=r'folder .*nowhere does not exist'):
        StateStore(tmp_path / 'nowhere' / 'state', POLICY, LAYOUT, SIZE)


@pytest.mark.parametrize('kind', ['pipe', 'device', 'folder'])
def test_a_path_that_is_not_a_regular_file_is_refused(tmp_path, kind):
    path = {'pipe': tmp_path / 'pipe', 'device': os.devnull, 'folder': tmp_path}[kind]
    if kind == 'pipe':
        os.mkfifo(path)
    with pytest.raises(OSError, match=r'not a regular file|Is a directory'):
        StateStore(path, POLICY, LAYOUT, SIZE)


def test_a_link_stays_a_link(tmp_path, path):
    (tmp_path / 'card').mkdir()
    path.symlink_to(tmp_path / 'card' / 'state')
    store = StateStore(path, POLICY, LAYOUT, SIZE)
    path.resolve().unlink()
    store.commit(snapshot(0))  # the file is gone: this makes it again
    store.close()
    assert path.is_symlink()
    assert (tmp_path / 'card' / 'state').stat().st_size == FILE_BYTES


def test_a_file_removed_while_in_use_is_created_again(opened, path):
    store = opened()
    store.commit(snapshot(0))
    path.unlink()
    store.commit(snapshot(1))
    store.commit(snapshot(2))
    store.close()
    assert opened().load().snapshot == snapshot(2)


def test_a_file_replaced_while_in_use_is_not_overwritten(opened, path, tmp_path):
    store = opened()
    store.commit(snapshot(0))
    (tmp_path / 'theirs').write_text('of somebody else')
    (tmp_path / 'theirs').rename(path)
    with pytest.raises(StateError, match='was replaced'):
        store.commit(snapshot(1))
    assert path.read_text() == 'of somebody else'


@pytest.mark.parametrize('text', ['recipes\n', 'AURASLOT', 'x' * 40_000])
def test_a_file_of_another_kind_is_not_changed(opened, path, text):
    path.write_text(text)
    store = opened()
    with pytest.raises(StateDamaged, match='allow_fresh_start'):
        store.load()
    with pytest.raises(StateDamaged):
        store.commit(snapshot(0))
    kept = store.set_aside()
    assert kept.read_text() == text
    assert kept.name == 'state.damaged-1'
    store.commit(snapshot(1))
    assert kept.read_text() == text


# --- F14 ---

_HOLD = """
import sys
from aura_ros.state.store import StateStore
store = StateStore(sys.argv[1], 'ab' * 32, '<f4[32,32] <f4[32]', 4224)
print('open', flush=True)
sys.stdin.read()
"""


@pytest.mark.fault('F14')
def test_the_second_process_is_refused_with_the_pid_of_the_first(path, opened, measured):
    with subprocess.Popen(
        [sys.executable, '-c', _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == 'open\n'
        before = path.read_bytes()
        with pytest.raises(StateLocked, match=f'{path} is in use by process {holder.pid}: give each memory node'):
            opened()
        assert path.read_bytes() == before
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    opened().commit(snapshot(0))  # the lock went with its process
    measured('refused, naming file and process; free again after kill -9')


@pytest.mark.fault('F14')
def test_the_lock_follows_a_file_that_moves(opened, path):
    store = opened()
    store.commit(snapshot(0))
    path.unlink()
    store.commit(snapshot(1))
    with pytest.raises(StateLocked):
        opened()


@pytest.mark.fault('F14')
def test_the_lock_is_on_the_file_that_has_the_name(opened, path, tmp_path):
    opened().commit(snapshot(0))

    class Late(Device):
        """Another process puts a new file in place between open and lock."""

        replaced = False

        def lock(self, fd, path):
            if not self.replaced:
                self.replaced = True
                path.rename(tmp_path / 'old')
                path.write_bytes(EMPTY_SLOT * SLOTS)
                os.close(os.open(path, os.O_RDWR))
                return
            super().lock(fd, path)

    store = opened(device=Late())
    assert store.load() is None
    store.commit(snapshot(7))
    assert snapshot(7).payload in path.read_bytes()


# --- F15 ---


def of_version(version):
    """An intact slot of another format version."""
    slot = bytearray(pack(Identity.of(POLICY, LAYOUT, SIZE), snapshot(5), 9, 0))
    struct.pack_into('<I', slot, 8, version)
    struct.pack_into('<I', slot, SLOT_BYTES - 4, zlib.crc32(slot[:-4]))
    return bytes(slot)


def foreign(path, kind):
    """Leave a file on `path` that a store of POLICY and LAYOUT must refuse."""
    if kind == 'version':
        path.write_bytes(of_version(2) + bytes(SLOT_BYTES))
        return
    theirs = {
        'policy': ('cd' * 32, LAYOUT, SIZE),
        'shape': (POLICY, '<f4[16,64] <f4[32]', SIZE),
        'dtype': (POLICY, '<i4[32,32] <f4[32]', SIZE),
        'size': (POLICY, '<f4[32]', 128),
    }[kind]
    store = StateStore(path, *theirs)
    store.commit(Snapshot(bytes(theirs[2]), 'theirs', 5, 1))
    store.close()


@pytest.mark.fault('F15')
@pytest.mark.parametrize(
    ('kind', 'reason'),
    [
        ('policy', r'another memory \(cdcdcdcdcdcd, not abababababab\)'),
        ('version', 'version 2, this program reads 1'),
        ('shape', r'<f4\[16,64\] <f4\[32\]; this memory has 4224'),
        ('dtype', '<i4'),
        ('size', '128 bytes'),
    ],
)
def test_a_state_of_another_is_refused_and_kept(opened, path, measured, kind, reason):
    foreign(path, kind)
    before = path.read_bytes()
    store = opened()
    with pytest.raises(StateMismatch, match=reason) as refusal:
        store.load()
    assert 'allow_fresh_start' in str(refusal.value)
    with pytest.raises(StateMismatch):
        store.commit(snapshot(0))
    assert path.read_bytes() == before
    kept = store.set_aside()
    assert store.load() is None
    store.commit(snapshot(0))
    store.commit(snapshot(1))
    assert kept.read_bytes() == before
    store.close()
    assert opened().load().snapshot == snapshot(1)
    measured(f'other {kind}: refused, kept as {kept.name}')


@pytest.mark.fault('F15')
def test_a_state_of_a_newer_version_beside_ours_is_not_ignored(opened, path):
    ours = pack(Identity.of(POLICY, LAYOUT, SIZE), snapshot(5), 100, 0)
    path.write_bytes(ours + of_version(2))
    with pytest.raises(StateMismatch, match='version 2'):
        opened().load()


@pytest.mark.fault('F15')
def test_a_renamed_file_is_never_overwritten(opened, path, tmp_path):
    contents = set()
    for _ in range(3):
        store = opened('cd' * 32)
        store.commit(snapshot(len(contents)))
        store.close()
        contents.add(path.read_bytes())
        store = opened()
        store.set_aside()
        store.close()
        path.unlink()
    assert {kept.read_bytes() for kept in tmp_path.glob('state.*')} == contents
    assert len(contents) == 3
