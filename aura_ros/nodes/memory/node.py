# SPDX-License-Identifier: Apache-2.0
"""memory_node: the AURA policy, with the gated memory of 4,224 bytes.

Reads `vla_step`, writes `aura/action_chunk` and tells what it remembers; keeps it in `state_file`.
Executor thread only; see memory_policy.py for order and clocks, keeper.py for what is kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future

from aura_ros.msg import ActionChunk, MemoryState, WriteEvent
from aura_ros.nodes.memory.base import MemoryPolicy, MemoryPolicyConfig, load
from aura_ros.nodes.memory.keeper import Durability, StateKeeper, describe
from aura_ros.ros import conversions, qos
from aura_ros.ros.conversions import Step
from aura_ros.ros.lifecycle import run
from aura_ros.ros.parameters import parameter
from aura_ros.srv import SaveState
from aura_ros.state.store import Snapshot, state_crc

# A whole state is for eyes: more often would only cost bandwidth.
_STATE_PERIOD_S = 0.5


@dataclass(frozen=True)
class MemoryNodeConfig(MemoryPolicyConfig):
    """Parameters of memory_node."""

    on_new_episode: str = parameter(
        'auto',
        'What becomes of the memory when an episode begins; auto: it is kept where there is a state_file, else emptied',
        choices=('auto', 'reset', 'keep'),
    )
    memory: str = parameter('aura', "Kind of memory: 'aura', or module:attribute of your own", at_start=True)
    state_file: str = parameter(
        '', 'Keeps the memory through restarts and power cuts; restored at configure; empty: RAM only', at_start=True
    )
    commit_period_s: float = parameter(
        0.0,
        'The state is put on the medium at most so often, 0 = at every write: then each write '
        'event waits until it is durable',
        unit='s',
        low=0.0,
        high=3600.0,
    )
    allow_fresh_start: bool = parameter(
        False,
        'A state_file of another policy or version, or one that is damaged, is set aside and '
        'an empty memory begun; false: configure fails and says why',
    )


class MemoryNode(MemoryPolicy):
    """The gated 4,224-byte memory as a node."""

    policy = ActionChunk.POLICY_AURA
    prefix = 'aura'

    def __init__(self, **kwargs: object) -> None:
        """Declare the parameters."""
        super().__init__('memory_node', MemoryNodeConfig, **kwargs)
        self._shown: Step | None = None
        self._keeper: StateKeeper | None = None

    def load(self, config: MemoryNodeConfig) -> Any:
        """Load the AURA memory."""
        return load(config.memory, config)

    def configure(self) -> None:
        """Load, restore what the state file holds, and join the graph."""
        super().configure()
        make, config = self.entities, self.config
        self._writes = make.publisher(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
        self._states = make.publisher(MemoryState, 'aura/memory_state', qos.MEMORY_STATE)
        # A group of its own: it awaits the medium, and the steps have to go on meanwhile.
        make.service(SaveState, 'aura/save_state', self._on_save, ReentrantCallbackGroup())
        make.timer(_STATE_PERIOD_S, self._show)
        self._kept_seq, self._resumed = -1, False
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
            self.memory.restore(kept.payload)
            self.memory.writes = kept.writes
            self.order.restore(kept.episode_id, kept.seq)
            self._kept_seq, self._resumed = kept.seq, True
            if restored.damaged:
                self.get_logger().warning(f'{path}: {restored.damaged}; its twin is whole')
        emptied = '; the next episode empties it: on_new_episode' if restored and self.forgets else ''
        self.get_logger().info(f'restored from {path}: {describe(restored)}{emptied}')

    def deactivate(self) -> None:
        """Bring the medium up to date, and tell of the last writes."""
        assert self._keeper is not None
        seq = self.order.seq
        self._keeper.flush(self._snapshot(seq) if seq != self._kept_seq else None)

    def release(self) -> None:
        """Let go of the state file, then of all else."""
        self.diagnostics.remove('state')
        if self._keeper is not None:
            self._keeper.close()
        self._keeper = None
        super().release()

    @property
    def forgets(self) -> bool:
        """Whether a new episode empties the memory."""
        auto = not self.config.state_file
        return {'auto': auto, 'reset': True, 'keep': False}[self.config.on_new_episode]

    def forgot(self, seq: int) -> None:
        """Keep the empty state: what was forgotten must not come back after a restart."""
        if seq < 0 and self._kept_seq >= 0:
            self.get_logger().info('a new episode empties the memory: on_new_episode')
        self._keep(seq, lambda _: None)

    def gap(self, seq: int, skipped: int) -> None:
        """Tell a gap after a restart from one on the way."""
        if not self._resumed:
            super().gap(seq, skipped)
            return
        text = (
            f'goes on at step {seq} with what was kept at step {seq - skipped - 1}: the {skipped} '
            'between left nothing on the medium, or came while the node was away'
        )
        self.fault('resumed', text, skipped)

    def published(self, step: Step, decision: Any) -> None:
        """Keep what has changed and tell of a write."""
        self._resumed = False
        if decision.written:
            memory = self.memory
            event = conversions.write_to_msg(
                step, self.policy, decision, memory.writes, memory.state_bytes, state_crc(memory)
            )
            self._keep(step.seq, partial(self._tell, event))

    def _keep(self, seq: int, told: Callable[[Durability], None], now: bool = False) -> None:
        assert self._keeper is not None
        self._kept_seq = seq
        self._keeper.keep(self._snapshot(seq), told, now)

    def _tell(self, event: WriteEvent, durability: Durability) -> None:
        assert self._keeper is not None
        event.durability = int(durability)
        event.device_bytes, event.storage_life_years = self._keeper.wear()
        self._writes.publish(event)

    def _snapshot(self, seq: int) -> Snapshot:
        memory = self.memory
        return Snapshot(memory.export(), self.order.episode_id, seq, memory.writes)

    def _show(self) -> None:
        if self.active and self.last_step is not None and self.last_step is not self._shown:
            self._shown = self.last_step
            self._states.publish(conversions.state_to_msg(self.last_step, self.memory))

    async def _on_save(self, _: SaveState.Request, response: SaveState.Response) -> SaveState.Response:
        response.path = self.config.state_file
        if not response.path:
            response.reason = "parameter 'state_file' is empty: set it to a file and configure"
            return response
        if self.order.seq < 0:
            response.reason = 'no step has been applied yet: there is nothing to save'
            return response
        saved: Future[Durability] = Future()
        response.seq = max(0, self.order.seq)
        response.state_crc32 = state_crc(self.memory)
        keeper = self._keeper
        self._keep(self.order.seq, saved.set_result, now=True)
        durability = await saved
        response.success = durability is Durability.DURABLE
        if not response.success:
            slow = 'the medium is slow: it is queued and will be written as soon as it can be'
            response.reason = (keeper.problem or slow)[:256]
            self.get_logger().error(f'save failed: {response.reason}')
        return response


def main(args: list[str] | None = None) -> int:
    """Run memory_node until it is told to end."""
    return run(MemoryNode, args)
