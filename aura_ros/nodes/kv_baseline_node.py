# SPDX-License-Identifier: Apache-2.0
"""kv_baseline_node: the KV-cache arm, which keeps every step.

Reads `vla_step`, writes `kv/action_chunk`.
Executor thread only; see memory_arm.py for order and clocks.
"""

from dataclasses import dataclass
from typing import Any

from aura_ros.msg import ActionChunk, CacheStatus
from aura_ros.nodes import conversions, qos
from aura_ros.nodes.conversions import Step
from aura_ros.nodes.lifecycle import run
from aura_ros.nodes.memory_arm import MemoryArm, MemoryArmConfig, load
from aura_ros.nodes.parameters import parameter


@dataclass(frozen=True)
class KvBaselineConfig(MemoryArmConfig):
    """Parameters of kv_baseline_node."""

    memory: str = parameter('kv', "Kind of memory: 'kv', or module:attribute of your own")
    window: int = parameter(0, 'Most steps kept, 0 = all', unit='1', low=0, high=1_000_000)


class KvBaselineNode(MemoryArm):
    """The growing key-value cache as a node."""

    arm = ActionChunk.ARM_KV
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

    def published(self, step: Step, decision: Any) -> None:
        """Tell how large the cache has become."""
        self._sizes.publish(conversions.cache_to_msg(step, self.memory))


def main(args: list[str] | None = None) -> int:
    """Run kv_baseline_node until it is told to end."""
    return run(KvBaselineNode, args)
