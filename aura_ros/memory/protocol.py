# SPDX-License-Identifier: Apache-2.0
"""The interface of a memory. Nodes, replay and benchmarks use a memory only through it.

To bring a memory of your own, derive a class from `Memory` and name a factory for it as `module:attribute`; the factory
takes (path of the weights or None, window) and returns the memory.

Arrays
    z             float32 [feature_dim], the frozen VLA's feature
    base_action   float32 [chunk_size, action_dim], the VLA's own actions; `components` give their meaning
    action        float32 [chunk_size, action_dim], the policy's actions, with the same meaning
    state         bytes: the carried arrays in a fixed order, C order, little endian

Each node also publishes details of its memory, so a memory of your own needs these attributes too: `fast_weights`
float32 [32, 32], `vector` float32 [32] and `row_age` uint64 [32] for memory_node, `entries` and `window` for
kv_baseline_node.

A memory is used by one thread. Two memories with the same weights and the same steps must be equal bit for bit: a
replay proves what a live run did only then.
"""

import zlib
from dataclasses import dataclass
from typing import Any, Protocol

from aura_ros.common.action_spec import ActionComponent
from aura_ros.memory.layers import Floats


@dataclass(frozen=True)
class Decision:
    """What one step decided."""

    action: Floats
    """The policy's actions, float32 [chunk_size, action_dim]."""
    gate: float
    """Gate score: the estimated probability that a write pays [0..1]."""
    threshold: float
    """The memory writes above this score [0..1]."""
    written: bool
    """Whether the step changed the state."""
    surprise: float
    """Inner prediction error `|v - f(k)|` before the write."""
    action_change: float
    """Largest change of an action's value caused by this write; 0 without one, [rad, m] for joint targets."""
    delta_norm: float
    """Frobenius norm of the change of the state; 0 without a write."""


class Memory(Protocol):
    """A recurrent memory with an action head."""

    name: str
    """Short name for logs."""
    feature_dim: int
    """Length of the feature of one step."""
    chunk_shape: tuple[int, int]
    """Shape of an action chunk: chunk_size, action_dim."""
    memory_hash: str
    """SHA-256 of the memory's weights, hex."""
    backbone_hash: str
    """SHA-256 of the VLA that the memory was trained for, hex; empty accepts any VLA."""
    writes: int
    """Writes since the last reset. Set by `MemorySession.restore`."""
    components: tuple[ActionComponent, ...] | None = None
    """What the columns of an action mean; () is absolute joint targets, None accepts any."""

    @property
    def state_bytes(self) -> int:
        """Bytes of the arrays that are carried from step to step."""

    @property
    def state_layout(self) -> str:
        """Dtype and shape of each carried array in order, as '<f4[32,32] <f4[32]'; '*' for a length that grows."""

    def reset(self) -> None:
        """Return to the empty state."""

    def step(self, z: Floats, base_action: Floats) -> Decision:
        """Apply one step.

        `MemorySession` has checked shapes and finiteness before this call. It checks the decision afterwards, and
        takes a step back that raises or that returns values that are not finite.
        """

    def export(self) -> bytes:
        """Return the carried state."""

    def restore(self, data: bytes) -> None:
        """Load a state from `export`.

        Raises:
            StateError: if it does not fit; the state is then unchanged.
        """

    def keep(self) -> Any:
        """Return what `undo` needs; called before every step. Override both where `export` is slow."""
        return self.export(), self.writes

    def undo(self, kept: Any) -> None:
        """Take back one step and a reset before it, if there was one. `kept` is from `keep`."""
        data, self.writes = kept
        self.restore(data)


MEMBERS = (*Memory.__annotations__, *(name for name in vars(Memory) if not name.startswith('_')))
"""Names of all attributes and methods of a memory."""


def state_crc(memory: Memory) -> int:
    """Return the CRC-32 of the carried state."""
    return zlib.crc32(memory.export())
