# SPDX-License-Identifier: Apache-2.0
"""What a memory policy is to the rest of the package: nodes, replay and benchmarks know only this.

Arrays
    z             float32 [feature_dim], the frozen VLA's feature
    base_action   float32 [chunk_size, action_dim], the VLA's own joint targets [rad, m]
    action        float32 [chunk_size, action_dim], the policy's joint targets [rad, m]
    state         bytes: the carried arrays, C order, little endian, in the order the class names them

Nodes show more of the memory they are made for: memory_node reads `fast_weights` float32 [32, 32], `vector` float32
[32] and `row_age` uint64 [32], kv_baseline_node `entries` and `window`; a memory of your own has them too.

A memory is used by one thread. Two memories with the same weights that saw the same steps are equal
bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Decision:
    """What one step decided.

    action: joint targets, float32 [chunk_size, action_dim] [rad, m].
    gate: gate score, the estimated probability that the write pays [0..1].
    threshold: the gate opens above this score [0..1].
    written: whether the state changed.
    surprise: inner prediction error |v - f(k)| before the write.
    action_change: largest change of a joint target that the write makes now [rad, m]; 0 without one.
    delta_norm: Frobenius norm of the change of the state; 0 without a write.
    """

    action: Floats
    gate: float
    threshold: float
    written: bool
    surprise: float
    action_change: float
    delta_norm: float


class Memory(Protocol):
    """A recurrent memory with an action head.

    memory_hash: SHA-256 of its weights, hex.
    backbone_hash: of the VLA it was trained for; empty takes any.
    writes: since the last reset.
    """

    name: str
    feature_dim: int
    memory_hash: str
    backbone_hash: str
    writes: int

    @property
    def state_bytes(self) -> int:
        """Bytes of the arrays that are carried from step to step."""
        ...

    @property
    def state_layout(self) -> str:
        """Dtype and shape of each carried array in order, as '<f4[32,32] <f4[32]'; a length that grows is '*'."""
        ...

    def reset(self) -> None:
        """Forget everything."""
        ...

    def step(self, z: Floats, base_action: Floats) -> Decision:
        """Apply one step of the VLA.

        Raises:
            InputError: if a shape is wrong or a number is not finite; the state is then unchanged.

        """
        ...

    def export(self) -> bytes:
        """Return the carried state."""
        ...

    def restore(self, data: bytes) -> None:
        """Take a state that `export` gave.

        Raises:
            StateError: if it does not fit; the state is then unchanged.

        """
        ...


def check_step(z: Floats, base_action: Floats, feature_dim: int, chunk: tuple[int, int]) -> None:
    """Refuse a step that must not touch a memory.

    Raises:
        InputError: naming what is wrong and what was expected.

    """
    for name, array, shape in (('features', z, (feature_dim,)), ('base_action', base_action, chunk)):
        if array.shape != shape:
            raise InputError(
                f'{name} must have the shape {shape}, got {array.shape}: is the memory trained for this VLA?'
            )
        if not np.isfinite(array).all():
            raise InputError(f'{name} has {int((~np.isfinite(array)).sum())} values that are not finite')
