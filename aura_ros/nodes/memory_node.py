# SPDX-License-Identifier: Apache-2.0
"""memory_node: the AURA arm, with the gated memory of 4,224 bytes.

Reads `vla_step`, writes `aura/action_chunk` and tells what it remembers.
Executor thread only; see memory_arm.py for order and clocks.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aura_ros.errors import StateError
from aura_ros.memory.snapshot import load_state, save_state
from aura_ros.msg import ActionChunk, MemoryState, WriteEvent
from aura_ros.nodes import conversions, qos
from aura_ros.nodes.conversions import Step
from aura_ros.nodes.lifecycle import run
from aura_ros.nodes.memory_arm import MemoryArm, MemoryArmConfig, load
from aura_ros.nodes.parameters import parameter
from aura_ros.srv import SaveState

# A whole state is for eyes: more often would only cost bandwidth.
_STATE_PERIOD_S = 0.5


@dataclass(frozen=True)
class MemoryNodeConfig(MemoryArmConfig):
    """Parameters of memory_node."""

    memory: str = parameter('aura', "Kind of memory: 'aura', or module:attribute of your own")
    state_file: str = parameter(
        '', 'Where SaveState writes; read at configure when it exists; empty: neither'
    )


class MemoryNode(MemoryArm):
    """The gated 4,224-byte memory as a node."""

    arm = ActionChunk.ARM_AURA
    prefix = 'aura'

    def __init__(self, **kwargs: object) -> None:
        """Declare the parameters."""
        super().__init__('memory_node', MemoryNodeConfig, **kwargs)
        self._shown: Step | None = None

    def load(self, config: MemoryNodeConfig) -> Any:
        """Load the AURA memory."""
        return load(config.memory, config)

    def configure(self) -> None:
        """Load, restore a saved state if there is one, and join the graph."""
        super().configure()
        make = self.entities
        self._writes = make.publisher(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
        self._states = make.publisher(MemoryState, 'aura/memory_state', qos.MEMORY_STATE)
        make.service(SaveState, 'aura/save_state', self._on_save)
        make.timer(_STATE_PERIOD_S, self._show)
        path = self.config.state_file
        if path and Path(path).exists():
            episode_id, seq = load_state(path, self.memory)
            self.order.restore(episode_id, seq)
            self.get_logger().info(f'restored {path}: step {seq} of episode {episode_id}')

    def published(self, step: Step, decision: Any) -> None:
        """Tell of a write."""
        if decision.written:
            memory = self.memory
            self._writes.publish(
                conversions.write_to_msg(
                    step, self.arm, decision, memory.writes, memory.state_bytes,
                    conversions.state_crc(memory),
                )
            )  # fmt: skip

    def _show(self) -> None:
        if self.active and self.last_step is not None and self.last_step is not self._shown:
            self._shown = self.last_step
            self._states.publish(conversions.state_to_msg(self.last_step, self.memory))

    def _on_save(self, _: SaveState.Request, response: SaveState.Response) -> SaveState.Response:
        response.path = self.config.state_file
        if not response.path:
            response.reason = "parameter 'state_file' is empty: set it to a file and configure"
            return response
        if self.order.seq < 0:
            response.reason = 'no step has been applied yet: there is nothing to save'
            return response
        try:
            crc = save_state(response.path, self.memory, self.order.episode_id, self.order.seq)
        except (StateError, OSError) as error:
            response.reason = str(error)[:256]
            self.get_logger().error(f'save failed: {error}')
            return response
        response.success = True
        response.seq = max(0, self.order.seq)
        response.state_crc32 = int(crc)
        return response


def main(args: list[str] | None = None) -> int:
    """Run memory_node until it is told to end."""
    return run(MemoryNode, args)
