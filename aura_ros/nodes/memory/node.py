# SPDX-License-Identifier: Apache-2.0
"""memory_node: the AURA policy, with the gated memory of 4,224 bytes.

Subscribes to `vla_step`, publishes `aura/action_chunk` and the state of the memory, and keeps that state in
`state_file`. Executor thread only; base.py describes the order of steps and the clocks, keeper.py the state file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Unpack, cast

import numpy as np
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future

from aura_ros.common.errors import ConfigError
from aura_ros.memory import Applied, Memory, Step, load_memory, state_crc
from aura_ros.msg import ActionChunk, MemoryState, WriteEvent
from aura_ros.nodes.memory.base import MemoryPolicy, MemoryPolicyConfig
from aura_ros.nodes.memory.keeper import Durability, StateKeeper, describe
from aura_ros.ros import conversions, qos
from aura_ros.ros.lifecycle import NodeOptions, run
from aura_ros.ros.parameters import parameter
from aura_ros.srv import SaveState
from aura_ros.state.format import Snapshot

_STATE_PERIOD_S = 0.5
"""Period of `memory_state` [s]. The full state is published for visualization only."""
_SHAPES = {'fast_weights': (32, 32), 'vector': (32,), 'row_age': (32,)}
"""Arrays that the memory must have besides those of `Memory`, as in MemoryState."""


@dataclass(frozen=True)
class MemoryNodeConfig(MemoryPolicyConfig):
    """Parameters of memory_node."""

    on_new_episode: str = parameter(
        'auto',
        'Whether the first step of an episode resets the memory; auto: keep if there is a state_file, else reset',
        choices=('auto', 'reset', 'keep'),
    )
    memory: str = parameter('aura', "Kind of memory: 'aura', or module:attribute of your own", at_start=True)
    state_file: str = parameter(
        '', 'Keeps the memory through restarts and power cuts; restored at configure; empty: RAM only', at_start=True
    )
    commit_period_s: float = parameter(
        0.0,
        'Shortest time between two commits of the state to the storage; 0 = commit every write: each write event '
        'then waits until its write is durable',
        unit='s',
        low=0.0,
        high=3600.0,
    )
    allow_fresh_start: bool = parameter(
        False,
        'Rename a state_file that is damaged or of another memory or version, and start with an empty memory; '
        'false: configure fails with the reason',
    )


class MemoryNode(MemoryPolicy[MemoryNodeConfig]):
    """The gated 4,224-byte memory as a node."""

    policy = ActionChunk.POLICY_AURA
    prefix = 'aura'

    def __init__(self, **options: Unpack[NodeOptions]) -> None:
        """Declare the parameters."""
        super().__init__('memory_node', MemoryNodeConfig, **options)
        self._published_step: Step | None = None
        self._keeper: StateKeeper | None = None

    def load(self) -> Memory:
        """Load the AURA memory."""
        memory = load_memory(self.config.memory, self.config.weights or None, needed=tuple(_SHAPES))
        for name, shape in _SHAPES.items():
            if (found := np.shape(getattr(memory, name))) != shape:
                raise ConfigError(f'memory {self.config.memory!r}: {name} has shape {found}: must be {shape}')
        return memory

    def configure(self) -> None:
        """Load the memory, restore the state file, and join the graph."""
        super().configure()
        make, config = self.entities, self.config
        self._writes = make.publisher(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
        self._states = make.publisher(MemoryState, 'aura/memory_state', qos.MEMORY_STATE)
        # It awaits the storage, and steps must go on meanwhile: hence a callback group of its own.
        make.service(SaveState, 'aura/save_state', self._save, ReentrantCallbackGroup())
        make.timer(_STATE_PERIOD_S, self._publish_state)
        self._kept, self._resumed = ('', -1), False
        self._keeper = StateKeeper(self, make, config.commit_period_s, config.storage_tbw_bytes)
        self.diagnostics.add('state', self._keeper.status)
        if config.state_file:
            self._restore(self._keeper)
        else:
            self.get_logger().info('the memory is kept in RAM only: state_file is empty')

    def _restore(self, keeper: StateKeeper) -> None:
        path = keeper.open(self.config.state_file, self.memory, self.config.allow_fresh_start)
        restored = keeper.restored
        if restored is not None:
            kept = restored.snapshot
            self.session.restore(kept.payload, kept.writes, kept.episode_id, kept.seq, kept.stamp_ns)
            self._kept, self._resumed = (kept.episode_id, kept.seq), True
            if restored.damaged:
                self.get_logger().warning(f'{path}: {restored.damaged}; the other slot is intact')
        reset = '; the next episode resets it: on_new_episode' if restored and self.reset_on_new_episode else ''
        self.get_logger().info(f'restored from {path}: {describe(restored)}{reset}')

    def deactivate(self) -> None:
        """Commit the newest state, and publish the last write events."""
        assert self._keeper is not None
        self._keeper.flush(self._snapshot() if self._newest != self._kept else None)

    def release(self) -> None:
        """Close the state file, then leave the graph."""
        self.diagnostics.remove('state')
        if self._keeper is not None:
            self._keeper.close()
        self._keeper = None
        super().release()

    @property
    def reset_on_new_episode(self) -> bool:
        """Whether the first step of an episode resets the memory."""
        auto = not self.config.state_file
        return {'auto': auto, 'reset': True, 'keep': False}[self.config.on_new_episode]

    def on_reset(self) -> None:
        """Keep the empty state: a restart must not restore what was reset."""
        self._keep(lambda _: None)

    def on_gap(self, step: Step, skipped: int) -> None:
        """Report a gap; the first one after a restart is expected."""
        if not self._resumed:
            super().on_gap(step, skipped)
            return
        text = (
            f'continues at step {step.seq} with the state of step {step.seq - skipped - 1}: the {skipped} steps '
            'between wrote nothing, or arrived while the node was down'
        )
        self.fault('resumed', text, skipped)

    def on_applied(self, step: Step, applied: Applied) -> None:
        """Keep a changed state, and publish the write event once its durability is known."""
        self._resumed = False
        if applied.emptied and self._kept[1] >= 0:
            self.get_logger().info('a new episode resets the memory: on_new_episode')
        if applied.decision.written:
            memory = self.memory
            event = conversions.write_to_msg(
                step, self.policy, applied.decision, memory.writes, memory.state_bytes, state_crc(memory)
            )
            self._keep(partial(self._publish_write, event))
        elif applied.emptied:
            self._keep(lambda _: None)

    def _keep(self, done: Callable[[Durability], None], now: bool = False) -> None:
        assert self._keeper is not None
        self._kept = self._newest
        self._keeper.keep(self._snapshot(), done, now)

    def _publish_write(self, event: WriteEvent, durability: Durability) -> None:
        assert self._keeper is not None
        event.durability = int(durability)
        event.device_bytes, event.storage_life_years = self._keeper.wear()
        self._writes.publish(event)

    @property
    def _newest(self) -> tuple[str, int]:
        """Episode and number of the last step applied."""
        return self.session.order.episode_id, self.session.order.seq

    def _snapshot(self) -> Snapshot:
        memory, order = self.memory, self.session.order
        return Snapshot(memory.export(), order.episode_id, order.seq, memory.writes, order.stamp_ns)

    def _publish_state(self) -> None:
        if self.active and self.last_step is not None and self.last_step is not self._published_step:
            self._published_step = self.last_step
            # `load` has checked that the memory has these attributes
            memory = cast(conversions.MatrixMemory, self.memory)
            with self.guarded('the state was not published'):
                self._states.publish(conversions.state_to_msg(self.last_step, memory))

    async def _save(self, _: SaveState.Request, response: SaveState.Response) -> SaveState.Response:
        response.path = self.config.state_file
        if not response.path:
            response.reason = "parameter 'state_file' is empty: set it to a file and configure"
            return response
        seq, keeper = self.session.order.seq, self._keeper
        if seq < 0:
            response.reason = 'no step has been applied yet: there is nothing to save'
            return response
        assert keeper is not None
        saved: Future[Durability] = Future()
        response.seq = seq
        response.state_crc32 = state_crc(self.memory)
        self._keep(saved.set_result, now=True)
        durability = await saved
        response.success = durability is Durability.DURABLE
        if not response.success:
            slow = 'the storage is slow: the state is queued and will be written as soon as possible'
            response.reason = (keeper.problem or slow)[:256]
            self.get_logger().error(f'save failed: {response.reason}')
        return response


def main(args: list[str] | None = None) -> int:
    """Run memory_node until SIGINT or SIGTERM."""
    return run(MemoryNode, args)
