# SPDX-License-Identifier: Apache-2.0
"""The node around one memory: it applies each VLA step once and in order, and publishes the outcome.

Everything runs in the executor thread, because a memory step takes only microseconds. Stamps are those of the
observations. The ROS clock is read to refuse a step that is too old, the steady clock to time the step.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar, Unpack

from aura_ros.common.limits import STEP_BYTES
from aura_ros.common.text_files import reason
from aura_ros.memory import Applied, Freshness, Memory, MemorySession, Step, StepRefused
from aura_ros.msg import ActionChunk, GateSample, VlaStep
from aura_ros.nodes.memory.source import StepSource
from aura_ros.ros import conversions, qos
from aura_ros.ros.diagnostics import Faults
from aura_ros.ros.entities import EntityOwner
from aura_ros.ros.lifecycle import LifecycleNode, NodeOptions
from aura_ros.ros.parameters import ParameterSet, parameter
from aura_ros.srv import ResetMemory

_JOIN_PERIOD_S = 0.05
"""How often a node that waits for subscribers of its chunks counts them [s]."""


@dataclass(frozen=True)
class MemoryPolicyConfig:
    """Parameters of both memory nodes."""

    weights: str = parameter('', 'Weights file; empty: the weights that ship with the package', at_start=True)
    on_new_episode: str = parameter(
        'reset', 'Whether the first step of an episode resets the memory', choices=('reset', 'keep')
    )
    max_age_s: float = parameter(
        5.0,
        'Oldest observation whose step is applied, by the ROS clock; also refuses a new episode with an earlier stamp '
        'than the last step; 0 = no check, for a replay',
        unit='s',
        low=0.0,
        high=3600.0,
    )
    stamp_tolerance_s: float = parameter(0.5, 'How far a stamp may be ahead of the clock', unit='s', low=0.0, high=10.0)
    liveliness_lease_s: float = parameter(
        0.08,
        'The middleware reports the death of this process to the policy switch within this time; 0 = never; '
        "at most the policy switch's value",
        unit='s',
        low=0.0,
        high=60.0,
    )
    storage_tbw_bytes: float = parameter(
        0.0,
        "Bytes that the storage endures ('TBW' in its data sheet), to estimate its life; 0 = unknown",
        unit='B',
        low=0.0,
        high=1e18,
    )
    chunk_subscribers: int = parameter(
        0,
        'Subscribes to vla_step only once its chunks have so many subscribers: a chunk is never repeated',
        unit='1',
        low=0,
        high=16,
    )


Config = TypeVar('Config', bound=MemoryPolicyConfig)


class MemoryPolicy(LifecycleNode, Generic[Config]):
    """A lifecycle node around one memory. Subclasses load the memory and publish its details."""

    policy: int
    """Number of the policy, ActionChunk.POLICY_*."""
    prefix: str
    """Relative prefix of the policy's topics."""
    config: Config
    """Values of the parameters; set by `configure`."""

    def __init__(self, name: str, schema: type[Config], **options: Unpack[NodeOptions]) -> None:
        """Declare the parameters of `schema`."""
        super().__init__(name, **options)
        self._parameter_set = ParameterSet(self, schema, lambda: self.in_use)
        self.entities = EntityOwner(self)
        self.last_step: Step | None = None
        self._session: MemorySession | None = None
        self._faults = Faults('every step applied, once and in order')

    # --- what a subclass provides -------------------------------------------------------------------------------------

    def load(self) -> Memory:
        """Return the memory that the parameters name."""
        raise NotImplementedError

    @property
    def reset_on_new_episode(self) -> bool:
        """Whether the first step of an episode resets the memory."""
        return self.config.on_new_episode == 'reset'

    def on_applied(self, step: Step, applied: Applied) -> None:
        """Publish the details of this memory after a step; its chunk and gate sample are published already."""

    def on_reset(self) -> None:
        """Act on a reset by service."""

    def on_gap(self, step: Step, skipped: int) -> None:
        """Report that the `skipped` steps before `step` were not applied."""
        steps = '1 step' if skipped == 1 else f'{skipped} steps'
        self.fault('gap', f'{steps} before step {step.seq} did not arrive or were refused', skipped)

    # ------------------------------------------------------------------------------------------------------------------

    @property
    def session(self) -> MemorySession:
        """The memory and its step order, from configure to cleanup."""
        assert self._session is not None, 'the node is not configured'
        return self._session

    @property
    def memory(self) -> Memory:
        """The memory of the session."""
        return self.session.memory

    def configure(self) -> None:
        """Load the memory and join the graph. Steps are ignored until the node is active."""
        self.config = self._parameter_set.read()
        self._session = MemorySession(self.load(), self.reset_on_new_episode)
        self._freshness = Freshness(round(self.config.max_age_s * 1e9), round(self.config.stamp_tolerance_s * 1e9))
        self._source = StepSource(self, 'vla_step')
        make, prefix = self.entities, self.prefix
        self._chunks = make.publisher(ActionChunk, f'{prefix}/action_chunk', qos.chunk(self.config.liveliness_lease_s))
        self._gates = make.publisher(GateSample, f'{prefix}/gate', qos.GATE)
        self._joined = False
        make.timer(_JOIN_PERIOD_S, self._join)
        self._join()
        make.service(ResetMemory, f'{prefix}/reset_memory', self._reset)
        self.diagnostics.add('steps', self._faults.status)
        self.diagnostics.add('qos', make.qos_status)
        self.get_logger().info(f"memory '{self.memory.name}' with weights {self.memory.memory_hash[:12]} is ready")

    def _join(self) -> None:
        if not self._joined and self._chunks.get_subscription_count() >= self.config.chunk_subscribers:
            self._joined = True
            self.entities.limited_subscription(
                VlaStep, 'vla_step', self._on_step, qos.step(), STEP_BYTES, lambda text: self.fault('rejected', text)
            )

    def release(self) -> None:
        """Leave the graph and drop the memory."""
        self.diagnostics.remove('steps', 'qos')
        self.entities.destroy()
        self._session = self.last_step = None

    def _on_step(self, message: VlaStep, sender: Callable[[], bytes]) -> None:
        if not self.active:
            return
        try:
            step, publisher = conversions.step_from_msg(message), sender()
            self._source.check(step, publisher)
            self._freshness.check(step, self.session.order, self.get_clock().now().nanoseconds)
            applied = self.session.apply(step)
        except StepRefused as refusal:
            self.fault(refusal.kind, str(refusal))
            return
        self._source.accept(publisher)
        self.last_step = step
        with self.guarded(f'step {step.seq} of {step.episode_id} was applied, but its output is incomplete'):
            decision, size = applied.decision, self.memory.state_bytes
            self._chunks.publish(conversions.chunk_to_msg(step, self.policy, decision.action))
            self._gates.publish(conversions.gate_to_msg(step, self.policy, decision, applied.step_us, size))
            if applied.skipped:
                self.on_gap(step, applied.skipped)
            self.on_applied(step, applied)

    @contextmanager
    def guarded(self, text: str) -> Iterator[None]:
        """Count any exception of a memory of a user as a fault with this text, so that it does not end the process."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # a memory of a user can raise anything
            self.fault('failed', f'{text}: {reason(error)}')

    def _reset(self, _: ResetMemory.Request, response: ResetMemory.Response) -> ResetMemory.Response:
        self.session.reset()
        self.on_reset()
        seq = self.session.order.seq
        response.success = True
        response.seq = max(0, seq)
        response.reason = 'the memory is empty; the step order goes on'
        self.get_logger().info(f'memory was reset after step {seq}')
        return response

    def fault(self, kind: str, text: str, times: int = 1) -> None:
        """Count a fault, and log it unless one of its kind was logged recently."""
        if self._faults.add(kind, text, times):
            self.get_logger().warning(f'{kind}: {text}')
        self.diagnostics.refresh()
