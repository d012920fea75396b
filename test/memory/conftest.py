# SPDX-License-Identifier: Apache-2.0
"""From a torch module to the NumPy memory with the same weights."""

import numpy as np
import pytest

from aura_ros.memory import build_memory
from aura_ros.memory.weights import MemoryWeights


@pytest.fixture
def deploy():
    """A function (module) -> memory."""

    def convert(module):
        arrays = {name: tensor.detach().numpy().copy() for name, tensor in module.state_dict().items()}
        addressing = 'content' if 'feedback.weight' in arrays else 'dense'
        card = {'memory': module.kind, 'addressing': addressing}
        if module.sizes.actions is not None:
            card['action_spec'] = module.sizes.actions.to_dict()
        weights = MemoryWeights(arrays, card, '00' * 32)
        return build_memory(module.kind, weights, getattr(module, 'window', 0))

    return convert


@pytest.fixture
def stream():
    """A function (sizes, length, seed) -> random features [T, D] and base chunks [T, C, A]."""

    def draw(sizes, length, seed=0):
        rng = np.random.default_rng(seed)
        return (
            rng.normal(size=(length, sizes.feature_dim)).astype(np.float32),
            rng.normal(size=(length, sizes.chunk_size, sizes.action_dim)).astype(np.float32),
        )

    return draw
