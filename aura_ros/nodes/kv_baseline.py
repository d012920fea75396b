# SPDX-License-Identifier: Apache-2.0
"""kv_baseline_node: the KV policy, with a key-value cache of every step.

Subscribes to `vla_step`, publishes `kv/action_chunk`. Executor thread only; nodes/memory/base.py describes the order of
steps and the clocks.
"""

import time
from dataclasses import dataclass
from typing import Unpack, cast

from aura_ros.memory import Applied, Memory, Step, load_memory
from aura_ros.msg import ActionChunk, CacheStatus
from aura_ros.nodes.memory.base import MemoryPolicy, MemoryPolicyConfig
from aura_ros.ros import conversions, qos
from aura_ros.ros.diagnostics import OK, Status
from aura_ros.ros.lifecycle import NodeOptions, run
from aura_ros.ros.parameters import parameter
from aura_ros.state.wear import WearMeter, cache_wear


@dataclass(frozen=True)
class KvBaselineConfig(MemoryPolicyConfig):
    """Parameters of kv_baseline_node."""

    memory: str = parameter('kv', "Kind of memory: 'kv', or module:attribute of your own", at_start=True)
    window: int = parameter(0, 'Most steps kept, 0 = all', unit='1', low=0, high=1_000_000)


class KvBaselineNode(MemoryPolicy[KvBaselineConfig]):
    """The growing key-value cache as a node."""

    policy = ActionChunk.POLICY_KV
    prefix = 'kv'

    def __init__(self, **options: Unpack[NodeOptions]) -> None:
        """Declare the parameters."""
        super().__init__('kv_baseline_node', KvBaselineConfig, **options)

    def load(self) -> Memory:
        """Load the cache."""
        config = self.config
        return load_memory(config.memory, config.weights or None, config.window, needed=('entries', 'window'))

    def configure(self) -> None:
        """Load the cache and join the graph."""
        super().configure()
        self._sizes = self.entities.publisher(CacheStatus, 'kv/cache_status', qos.CACHE_STATUS)
        self._wear = WearMeter(time.monotonic())
        self.diagnostics.add('storage', self._storage_status)

    def release(self) -> None:
        """Leave the graph and drop the cache."""
        self.diagnostics.remove('storage')
        super().release()

    def on_applied(self, step: Step, applied: Applied) -> None:
        """Publish the size of the cache, and count the bytes that a durable copy would have cost."""
        # `load` has checked that the memory has these attributes
        status = conversions.cache_to_msg(step, cast(conversions.CacheMemory, self.memory))
        self._sizes.publish(status)
        cost = cache_wear(1, self.memory.state_bytes // max(1, status.entries))
        self._wear.add(cost.device_bytes, cost.logical_bytes, time.monotonic())

    def _storage_status(self) -> Status:
        """Return the cost of a log of the cache that is as durable as the state of memory_node."""
        meter, now_s = self._wear, time.monotonic()
        values: dict[str, object] = {
            'logical_bytes': meter.logical_bytes,
            'device_bytes': meter.device_bytes,
            'device_bytes_per_hour': round(meter.per_hour(now_s)),
        }
        if self.config.storage_tbw_bytes and meter.device_bytes:
            years = meter.storage_life_years(self.config.storage_tbw_bytes, now_s)
            values['storage_life_years'] = f'{years:.3g}'
        return Status(OK, 'kept in RAM only; values: the cost of a durable copy', values)


def main(args: list[str] | None = None) -> int:
    """Run kv_baseline_node until SIGINT or SIGTERM."""
    return run(KvBaselineNode, args)
