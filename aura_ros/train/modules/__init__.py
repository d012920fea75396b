# SPDX-License-Identifier: Apache-2.0
"""The memories as torch modules, for training. On the robot the NumPy classes of aura_ros.memory run."""

from aura_ros.train.modules.base import MemoryModule, Rollout, Scan, Sizes
from aura_ros.train.modules.content_addressed import ContentAddressedModule
from aura_ros.train.modules.elmur import ElmurModule, ElmurOptions
from aura_ros.train.modules.fast_weights import FastWeightModule
from aura_ros.train.modules.gate import AuraModule, Gated
from aura_ros.train.modules.kv_cache import KvCacheModule
from aura_ros.train.modules.memoryless import MemorylessModule
from aura_ros.train.modules.rnn import GruModule, LstmModule
from aura_ros.train.modules.scheduled import ScheduledModule
from aura_ros.train.modules.ssm import SsmModule

__all__ = [
    'AuraModule',
    'ContentAddressedModule',
    'ElmurModule',
    'ElmurOptions',
    'FastWeightModule',
    'Gated',
    'GruModule',
    'KvCacheModule',
    'LstmModule',
    'MemoryModule',
    'MemorylessModule',
    'Rollout',
    'Scan',
    'ScheduledModule',
    'Sizes',
    'SsmModule',
]
