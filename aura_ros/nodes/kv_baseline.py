# SPDX-License-Identifier: Apache-2.0
"""kv_baseline_node: the KV-cache policy, which keeps every step.

Reads `vla_step`, writes `kv/action_chunk`.
Executor thread only; see memory_policy.py for order and clocks.
"""

import time
from dataclasses import dataclass
from typing import Any

from aura_ros.msg import ActionChunk, CacheStatus
from aura_ros.nodes.memory.base import MemoryPolicy, MemoryPolicyConfig, load
from aura_ros.ros import conversions, qos
from aura_ros.ros.conversions import Step
from aura_ros.ros.diagnostics import OK, Status
from aura_ros.ros.lifecycle import run
from aura_ros.ros.parameters import parameter
from aura_ros.state.wear import WearMeter, cache_wear


@dataclass(frozen=True)
class KvBaselineConfig(MemoryPolicyConfig):
    """Parameters of kv_baseline_node."""

    memory: str = parameter('kv', "Kind of memory: 'kv', or module:attribute of your own", at_start=True)
    window: int = parameter(0, 'Most steps kept, 0 = all', unit='1', low=0, high=1_000_000)


class KvBaselineNode(MemoryPolicy):
    """The growing key-value cache as a node."""

    policy = ActionChunk.POLICY_KV
    prefix = 'kv'

    def __init__(self, **kwargs: object) -> None:
        """Declare the parameters."""
        super().__init__('kv_baseline_node', KvBaselineConfig, **kwargs)

    def load(self, config: KvBaselineConfig) -> Any:
        """Load the cache."""
        return load(config.memory, config, config.window)

    def configure(self) -> None:
        """Load the cache and join the graph."""
        super().configure()
        self._sizes = self.entities.publisher(CacheStatus, 'kv/cache_status', qos.CACHE_STATUS)
        self._wear = WearMeter(time.monotonic())
        self.diagnostics.add('storage', self._storage_status)

    def release(self) -> None:
        """Leave the graph and forget the cache."""
        self.diagnostics.remove('storage')
        super().release()

    def published(self, step: Step, decision: Any) -> None:
        """Tell how large the cache has become, and count what it would cost to keep it."""
        self._sizes.publish(conversions.cache_to_msg(step, self.memory))
        entry = self.memory.state_bytes // max(1, self.memory.entries)
        cost = cache_wear(1, entry)
        self._wear.add(cost.device_bytes, cost.logical_bytes, time.monotonic())

    def _storage_status(self) -> Status:
        """What a log of the cache, as durable as memory_node's state, would have cost the medium."""
        meter, now_s = self._wear, time.monotonic()
        values = {
            'logical_bytes': meter.logical_bytes,
            'device_bytes': meter.device_bytes,
            'device_bytes_per_hour': round(meter.per_hour(now_s)),
        }
        if self.config.storage_tbw_bytes and meter.device_bytes:
            years = meter.storage_life_years(self.config.storage_tbw_bytes, now_s)
            values['storage_life_years'] = f'{years:.3g}'
        return Status(OK, 'kept in RAM only; values: what keeping it would have cost', values)


def main(args: list[str] | None = None) -> int:
    """Run kv_baseline_node until it is told to end."""
    return run(KvBaselineNode, args)
