# SPDX-License-Identifier: Apache-2.0
"""Memories (AURA-Mem, ELMUR, the KV-cache baseline and others) and the session that applies steps to them.

NumPy only: no ROS, no torch.
"""

from collections.abc import Sequence

from aura_ros.common.errors import ConfigError
from aura_ros.common.loading import load_factory
from aura_ros.memory.aura import AuraMemory
from aura_ros.memory.freshness import Freshness
from aura_ros.memory.kinds import KINDS, build_memory
from aura_ros.memory.kv_cache import KvCacheMemory
from aura_ros.memory.none import NoMemory
from aura_ros.memory.protocol import MEMBERS, Decision, Memory, state_crc
from aura_ros.memory.session import Applied, MemorySession
from aura_ros.memory.step import Step, StepRefused
from aura_ros.memory.trial import check_weights
from aura_ros.memory.weights import load_weights

__all__ = [
    'KINDS',
    'Applied',
    'AuraMemory',
    'Decision',
    'Freshness',
    'KvCacheMemory',
    'Memory',
    'MemorySession',
    'NoMemory',
    'Step',
    'StepRefused',
    'build_memory',
    'check_weights',
    'load_memory',
    'state_crc',
]


def load_memory(kind: str, path: str | None = None, window: int = 0, needed: Sequence[str] = ()) -> Memory:
    """Return a memory with trained weights.

    Args:
        kind: one of `KINDS`, or 'module:factory' for a memory of your own; the factory takes (path, window).
        path: a .safetensors file with its card beside it; None uses the weights that ship with the package.
        window: most steps that a KV-cache keeps; 0 keeps all. Other memories need 0.
        needed: attributes that the memory must have besides those of `Memory`.

    Raises:
        ConfigError: if the kind is unknown, the weights cannot be used, or the memory lacks an attribute.
    """
    if ':' in kind:
        memory: Memory = load_factory(kind)(path, window)
    else:
        memory = _load_shipped(kind, path, window)
    if missing := [name for name in (*MEMBERS, *needed) if not hasattr(memory, name)]:
        raise ConfigError(f'memory {kind!r} has no {", ".join(missing)}; see aura_ros.memory.Memory')
    return memory


def _load_shipped(kind: str, path: str | None, window: int) -> Memory:
    if kind not in KINDS:
        raise ConfigError(f'memory must be one of {", ".join(KINDS)} or module:factory, got {kind!r}')
    if window and kind != 'kv':
        raise ConfigError(f'window must be 0 for the {kind} memory (only a KV-cache has one), got {window}')
    # 'none' needs weights too: they give the shapes of a step
    weights = load_weights('aura' if kind == 'none' else kind, path)
    check_weights(kind, weights, path)
    return build_memory(kind, weights, window)
