# SPDX-License-Identifier: Apache-2.0
"""Other programs empty, zero or overwrite a state file: no loss is silent, and no write is DURABLE without reason."""

import struct
import zlib

import numpy as np
import pytest
from storage_model import FastDevice

from aura_ros.common.errors import StateDamaged, StateError
from aura_ros.state.format import FILE_BYTES, SLOT_BYTES, Identity, Snapshot, pack
from aura_ros.state.store import StateStore

pytestmark = pytest.mark.fault('F30')
WEIGHTS, LAYOUT, SIZE = 'ab' * 32, '<f4[32,32] <f4[32]', 4224
_OLD_HEADER = struct.Struct('<8sII32s36s128sqQQqI8x')


def snapshot(seq):
    payload = np.random.default_rng(seq + 1).normal(size=SIZE // 4).astype('<f4').tobytes()
    return Snapshot(payload, 'episode-1', seq, seq)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'state'


def open_store(path, weights=WEIGHTS):
    return StateStore(path, weights, LAYOUT, SIZE, FastDevice())


def committed(path, seqs, weights=WEIGHTS):
    store = open_store(path, weights)
    for seq in seqs:
        store.commit(snapshot(seq))
    store.close()
    return path.read_bytes()


def restored(path):
    store = open_store(path)
    try:
        return store.load()
    finally:
        store.close()


@pytest.mark.parametrize(
    'content', [b'', bytes(1), bytes(SLOT_BYTES), bytes(FILE_BYTES), bytes(10 * FILE_BYTES)], ids=len
)
def test_an_emptied_or_zeroed_file_is_a_loss_and_not_a_fresh_start(path, measured, content):
    committed(path, range(5))
    path.write_bytes(content)
    with pytest.raises(StateDamaged, match=r'no intact state.*allow_fresh_start'):
        restored(path)
    assert path.read_bytes() == content
    measured(f'{len(content):,} zeros: refused')


@pytest.mark.parametrize('slot', [0, 1])
def test_a_zeroed_slot_leaves_the_other(path, slot):
    data = bytearray(committed(path, range(5)))
    data[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES] = bytes(SLOT_BYTES)
    path.write_bytes(data)
    found = restored(path)
    assert (found.snapshot, found.damaged) == (snapshot(4 if slot == 0 else 3), f'slot {slot}: all zeros')


def test_a_new_file_without_a_commit_is_a_fresh_start(path):
    open_store(path).close()
    assert path.stat().st_size == FILE_BYTES
    assert restored(path) is None


def old_slot(seq, generation):
    """A slot as the first release wrote it."""
    header = _OLD_HEADER.pack(
        b'AURASLOT', 1, 256, bytes.fromhex(WEIGHTS), b'episode-1', LAYOUT.encode(), seq, seq, generation, 1, SIZE
    )
    body = (header + snapshot(seq).payload).ljust(SLOT_BYTES - 4, b'\0')
    return body + struct.pack('<I', zlib.crc32(body))


@pytest.mark.parametrize('slots', [(3, 4), (4, 3), (4, None), (None, 4)])
def test_a_file_of_the_first_release_is_restored(path, slots):
    path.write_bytes(b''.join(bytes(SLOT_BYTES) if seq is None else old_slot(seq, seq + 1) for seq in slots))
    assert restored(path).snapshot == snapshot(4)  # its stamp is 0, unknown
    store = open_store(path)
    store.commit(snapshot(5))
    store.close()
    assert restored(path).snapshot == snapshot(5)


FOREIGN = {
    'newer state': lambda path, own: committed(path, range(100, 150)),
    'older state': lambda path, own: committed(path, range(100, 101)),
    'own backup': lambda path, own: own[0],
    'one newer slot': lambda path, own: own[1][:SLOT_BYTES] + committed(path, range(100, 150))[SLOT_BYTES:],
    'other weights': lambda path, own: committed(path, range(2), 'cd' * 32),
    'newest generation': lambda path, own: pack(Identity.of(WEIGHTS, LAYOUT, SIZE), snapshot(1), 2**64 - 1, 0) * 2,
}


@pytest.mark.parametrize('kind', FOREIGN)
def test_a_state_written_over_the_file_in_use_is_never_reported_as_durable(path, tmp_path, measured, kind):
    store = open_store(path)
    store.commit(snapshot(0))
    backup = path.read_bytes()
    for seq in range(1, 4):
        store.commit(snapshot(seq))
    foreign = FOREIGN[kind](tmp_path / 'other', (backup, path.read_bytes()))
    path.write_bytes(foreign)
    for attempt in range(4):  # both in place and into a new file
        with pytest.raises(StateError, match=r'overwritten by another program.*configure the node again'):
            store.commit(snapshot(500 + attempt))
        assert path.read_bytes() == foreign
    path.unlink()
    store.commit(snapshot(600))  # moved away, as the message proposes
    store.close()
    assert restored(path).snapshot == snapshot(600)
    measured(f'{kind} copied over the file in use: 4 commits refused, the copy unchanged')


@pytest.mark.parametrize('kind', ['empty', 'zeros', 'slot 0', 'slot 1', 'text'])
def test_damage_while_in_use_is_repaired_by_the_next_commit(path, measured, kind):
    store = open_store(path)
    for seq in range(4):
        store.commit(snapshot(seq))
    data = bytearray(path.read_bytes())
    if kind.startswith('slot'):
        data[int(kind[-1]) * SLOT_BYTES + 500] ^= 1
    path.write_bytes({'empty': b'', 'zeros': bytes(FILE_BYTES), 'text': b'notes'}.get(kind, bytes(data)))
    store.commit(snapshot(4))
    store.close()
    found = restored(path)
    assert (found.snapshot, found.damaged) == (snapshot(4), '')
    measured(f'{kind} while in use: the next commit repairs it')


def test_the_last_generation_is_refused_with_the_reason(path):
    path.write_bytes(pack(Identity.of(WEIGHTS, LAYOUT, SIZE), snapshot(1), 2**64 - 1, 0) * 2)
    store = open_store(path)
    with pytest.raises(StateError, match=r'generation must be 0\.\.2\^64 - 1'):
        store.commit(snapshot(2))
    store.close()
