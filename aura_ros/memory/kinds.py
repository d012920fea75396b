# SPDX-License-Identifier: Apache-2.0
"""The memories by name. Each entry builds one from its trained weights."""

from collections.abc import Callable

from aura_ros.memory.aura import AuraMemory, FastWeightMemory
from aura_ros.memory.elmur import ElmurMemory
from aura_ros.memory.gate import Gate
from aura_ros.memory.kv_cache import KvCacheMemory
from aura_ros.memory.memoryless import MemorylessCell
from aura_ros.memory.none import NoMemory
from aura_ros.memory.protocol import Memory
from aura_ros.memory.recurrent import RecurrentMemory
from aura_ros.memory.rnn import GruCell, LstmCell
from aura_ros.memory.schedules import Always, Periodic, Random
from aura_ros.memory.ssm import SsmCell
from aura_ros.memory.weights import MemoryWeights


def _budget(weights: MemoryWeights) -> float:
    """Return the writes per step that a schedule was trained for."""
    return float(weights.arrays['budget'][0])


KINDS: dict[str, Callable[[MemoryWeights], Memory]] = {
    'aura': AuraMemory,
    'always': lambda weights: FastWeightMemory('always', weights, Always()),
    'random': lambda weights: FastWeightMemory('random', weights, Random(_budget(weights))),
    'periodic': lambda weights: FastWeightMemory('periodic', weights, Periodic(_budget(weights))),
    'reconstruction': lambda weights: FastWeightMemory('reconstruction', weights, Gate(weights.arrays)),
    'gru': lambda weights: RecurrentMemory('gru', weights, GruCell(weights.arrays)),
    'lstm': lambda weights: RecurrentMemory('lstm', weights, LstmCell(weights.arrays)),
    'ssm': lambda weights: RecurrentMemory('ssm', weights, SsmCell(weights.arrays)),
    'elmur': ElmurMemory,
    'kv': KvCacheMemory,
    'memoryless': lambda weights: RecurrentMemory('memoryless', weights, MemorylessCell()),
    'none': lambda weights: NoMemory(weights.feature_dim, (weights.chunk_size, weights.action_dim)),
}
"""Kinds that `load_memory` accepts.

The gate of 'reconstruction' was trained for another target than that of 'aura'. 'memoryless' is trained to act without
a memory; 'none' passes the base action through.
"""


def build_memory(kind: str, weights: MemoryWeights, window: int = 0) -> Memory:
    """Return the memory `kind`, a key of `KINDS`, with its weights; `window` is for a KV-cache."""
    if kind == 'kv':
        return KvCacheMemory(weights, window)
    return KINDS[kind](weights)
