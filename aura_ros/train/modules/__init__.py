# SPDX-License-Identifier: Apache-2.0
"""The memories as torch modules, for training; the NumPy classes of aura_ros.memory are what runs."""

from aura_ros.train.modules.base import MemoryModule, Rollout, Scan, Sizes
from aura_ros.train.modules.fast_weights import AuraModule, FastWeightModule
from aura_ros.train.modules.kv_cache import KvCacheModule

__all__ = ['AuraModule', 'FastWeightModule', 'KvCacheModule', 'MemoryModule', 'Rollout', 'Scan', 'Sizes']
