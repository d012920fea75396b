# SPDX-License-Identifier: Apache-2.0
"""The bytes of a slot: they are read back as written, and nothing else counts as a state."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_ros.common.errors import StateError
from aura_ros.memory import load_memory
from aura_ros.state.format import HEADER, SLOT_BYTES, Identity, Snapshot, arrays, pack, unpack

POLICY, LAYOUT, SIZE = 'ab' * 32, '<f4[3,4] <i8[2]', 64
IDENTITY = Identity.of(POLICY, LAYOUT, SIZE)
snapshots = st.builds(
    Snapshot,
    payload=st.builds(
        lambda floats, ints: np.array(floats, '<f4').tobytes() + np.array(ints, '<i8').tobytes(),
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=12, max_size=12),
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=2),
    ),
    episode_id=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=36),
    seq=st.integers(-1, 2**63 - 1),
    writes=st.integers(0, 2**64 - 1),
    stamp_ns=st.integers(0, 2**63 - 1),
)


def sealed(slot):
    """A slot with a correct CRC over any content."""
    struct.pack_into('<I', slot, SLOT_BYTES - 4, zlib.crc32(slot[:-4]))
    return bytes(slot)


@given(snapshots, st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1))
def test_a_slot_is_read_back_as_written(snapshot, generation, saved_ns):
    data = pack(IDENTITY, snapshot, generation, saved_ns)
    assert len(data) == SLOT_BYTES
    content = unpack(1, data)
    assert content.valid and not content.empty
    assert (content.slot, content.damage, content.identity) == (1, '', IDENTITY)
    assert (content.snapshot, content.generation, content.saved_ns) == (snapshot, generation, saved_ns)


@given(st.binary(max_size=SLOT_BYTES + 8))
def test_random_bytes_are_never_a_state(data):
    content = unpack(0, data)
    assert not content.valid
    assert not content.empty


@given(st.data(), st.integers(0, HEADER.size - 1), st.binary(min_size=1, max_size=8))
def test_an_invalid_header_is_damage_even_with_a_correct_crc(data, offset, noise):
    slot = bytearray(pack(IDENTITY, Snapshot(bytes(SIZE), 'e', 1, 1), 1, 1))
    noise = noise[: HEADER.size - offset]
    slot[offset : offset + len(noise)] = noise
    content = unpack(0, sealed(slot))  # must not raise
    if content.valid:  # then the noise made another number, id, layout or policy that is allowed
        again = pack(content.identity, content.snapshot, content.generation, content.saved_ns)
        assert unpack(0, again) == content


def test_nan_is_damage_even_with_a_correct_crc():
    slot = bytearray(pack(IDENTITY, Snapshot(bytes(SIZE), 'e', 1, 1), 1, 1))
    struct.pack_into('<f', slot, HEADER.size + 8, float('nan'))
    assert unpack(0, sealed(slot)).damage.endswith('the state has values that are not finite')


def test_a_header_of_another_length_is_damage():
    slot = bytearray(pack(IDENTITY, Snapshot(bytes(SIZE), 'e', 1, 1), 1, 1))
    struct.pack_into('<I', slot, 12, 300)
    assert unpack(0, sealed(slot)).damage == 'its header has 300 bytes instead of 256'


@pytest.mark.parametrize('kind', ['aura', 'none', 'kv'])
def test_the_layout_describes_the_export_of_a_memory(kind):
    memory = load_memory(kind)
    if kind != 'aura':
        assert memory.state_layout == {'none': '', 'kv': '<f4[*,64]'}[kind]
        return
    step = np.random.default_rng(0).normal(size=memory.feature_dim).astype(np.float32)
    for sign in (1, -1, 1):
        memory.step(sign * step, np.zeros((8, 8), np.float32))
    weights, vector = arrays(memory.state_layout, memory.export())
    np.testing.assert_array_equal(weights, memory.fast_weights)
    np.testing.assert_array_equal(vector, memory.vector)


@pytest.mark.parametrize(
    'layout',
    [
        '<f4[32',
        'f4[2]',
        '>f4[2]',
        '<O8[2]',
        '<f4[2,]',
        '<f4[-1]',
        '<f4[2]  <f4[2]',
        '<b4[1]',
        '<f4[99999999999999999999]',
    ],
)
def test_a_layout_that_cannot_be_read_is_refused(layout):
    with pytest.raises(StateError):
        Identity.of(POLICY, layout, 8)
