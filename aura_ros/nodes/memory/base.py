# SPDX-License-Identifier: Apache-2.0
"""What both memory policies share: each VLA step is applied to the memory exactly once and in order.

Everything runs in the executor thread: a memory step takes microseconds, less than handing it over.
Stamps are those of the observations; the only clock read is the steady one, to time the step.
"""

import math
import time
from dataclasses import dataclass
from typing import Any

from aura_ros.common.errors import InputError
from aura_ros.memory import load_memory
from aura_ros.memory.step_order import StepOrder, Verdict
from aura_ros.msg import ActionChunk, GateSample, VlaStep
from aura_ros.ros import conversions, qos
from aura_ros.ros.conversions import Step
from aura_ros.ros.diagnostics import Faults
from aura_ros.ros.entities import EntityOwner
from aura_ros.ros.lifecycle import LifecycleNode
from aura_ros.ros.parameters import ParameterSet, parameter
from aura_ros.srv import ResetMemory

# How often a node that waits for listeners looks for them [s].
_JOIN_PERIOD_S = 0.05


@dataclass(frozen=True)
class MemoryPolicyConfig:
    """Parameters that both memory policies have."""

    weights: str = parameter('', 'Weights file; empty: the one that ships with the package', at_start=True)
    on_new_episode: str = parameter(
        'reset', 'What becomes of the memory when an episode begins', choices=('reset', 'keep')
    )
    liveliness_lease_s: float = parameter(
        0.08,
        'The middleware tells the policy switch within this time that this process died, 0 = never; '
        "at most the policy switch's value",
        unit='s',
        low=0.0,
        high=60.0,
    )
    storage_tbw_bytes: float = parameter(
        0.0,
        "What the storage medium endures, from its data sheet ('TBW'), to project its life; 0 = unknown",
        unit='B',
        low=0.0,
        high=1e18,
    )
    chunk_subscribers: int = parameter(
        0,
        'Listens to vla_step only when so many listen to its chunks: a chunk is never repeated',
        unit='1',
        low=0,
        high=16,
    )


class MemoryPolicy(LifecycleNode):
    """A lifecycle node around one memory; subclasses say which, and what is special to it."""

    policy: int
    # Relative prefix of the policy's topics.
    prefix: str

    def __init__(self, name: str, schema: type[MemoryPolicyConfig], **kwargs: object) -> None:
        """Declare the parameters of `schema`."""
        super().__init__(name, **kwargs)
        self._declared = ParameterSet(self, schema, lambda: self.in_use)
        self.entities = EntityOwner(self)
        self.memory: Any = None
        self.order = StepOrder()
        self.last_step: Step | None = None
        self._faults = Faults('every step applied, once and in order')

    # What a subclass says. ------------------------------------------------------------------------
    def load(self, config: Any) -> Any:
        """Return the memory."""
        raise NotImplementedError

    def published(self, step: Step, decision: Any) -> None:
        """Publish what is special to this memory after a step."""

    @property
    def forgets(self) -> bool:
        """Whether a new episode empties the memory."""
        return bool(self.config.on_new_episode == 'reset')

    def forgot(self, seq: int) -> None:
        """Note that the memory was reset after step `seq`, -1 before the first of the episode."""

    def gap(self, seq: int, skipped: int) -> None:
        """Tell that `skipped` steps before step `seq` are missing."""
        self.fault('gap', f'{skipped} steps before step {seq} never came', skipped)

    # ----------------------------------------------------------------------------------------------
    def configure(self) -> None:
        """Load the memory and join the graph; steps are ignored until the node is active."""
        self.config = self._declared.read()
        self.memory = self.load(self.config)
        self.order = StepOrder()
        make, prefix = self.entities, self.prefix
        chunk_qos = qos.chunk(self.config.liveliness_lease_s)
        self._chunks = make.publisher(ActionChunk, f'{prefix}/action_chunk', chunk_qos)
        self._gates = make.publisher(GateSample, f'{prefix}/gate', qos.GATE)
        self._joined = False
        make.timer(_JOIN_PERIOD_S, self._join)
        self._join()
        make.service(ResetMemory, f'{prefix}/reset_memory', self._on_reset)
        self.diagnostics.add('steps', self._faults.status)
        self.diagnostics.add('qos', make.qos_status)
        hash_ = self.memory.memory_hash[:12]
        self.get_logger().info(f"memory '{self.memory.name}' with weights {hash_} is ready")

    def _join(self) -> None:
        if self._joined:
            return
        if self._chunks.get_subscription_count() >= self.config.chunk_subscribers:
            self._joined = True
            self.entities.subscription(VlaStep, 'vla_step', self._on_step, qos.step())

    def release(self) -> None:
        """Leave the graph and forget the memory."""
        self.diagnostics.remove('steps', 'qos')
        self.entities.destroy()
        self.memory = None
        self.last_step = None

    def _on_step(self, message: VlaStep) -> None:
        if not self.active:
            return
        if not message.episode_id.isascii():
            self.fault('rejected', f'episode_id {message.episode_id!r}: must be a UUID, in ASCII')
            return
        missed = self.order.missed
        stamp_ns = conversions.to_ns(message.header.stamp)
        verdict = self.order.take(message.episode_id, message.seq, stamp_ns)
        if not verdict.apply:
            self.fault(verdict.value, f'step {message.seq} of {message.episode_id} was {verdict.why}')
            return
        if verdict is Verdict.NEW_EPISODE and self.forgets:
            self._forget(-1)
        if self.order.missed > missed:
            self.gap(message.seq, self.order.missed - missed)
        try:
            self._apply(conversions.step_from_msg(message), message.header.frame_id)
        except InputError as error:
            self.fault('rejected', str(error))

    def _apply(self, step: Step, frame_id: str) -> None:
        wanted = self.memory.backbone_hash
        if wanted and step.backbone_hash and step.backbone_hash != wanted:
            raise InputError(
                f'step {step.seq} is of a VLA with weights {step.backbone_hash[:12]}: this memory is trained for '
                f'{wanted[:12]}; set weights to a memory trained for that VLA'
            )
        began = time.perf_counter()
        decision = self.memory.step(step.features, step.actions)
        step_us = (time.perf_counter() - began) * 1e6
        _check_told(step, decision)
        self._chunks.publish(conversions.chunk_to_msg(step, self.policy, decision.action, frame_id))
        size = self.memory.state_bytes
        self._gates.publish(conversions.gate_to_msg(step, self.policy, decision, step_us, size))
        self.last_step = step
        self.published(step, decision)

    def _forget(self, seq: int) -> None:
        self.memory.reset()
        self.forgot(seq)

    def _on_reset(self, _: ResetMemory.Request, response: ResetMemory.Response) -> ResetMemory.Response:
        self._forget(self.order.seq)
        response.success = True
        response.seq = max(0, self.order.seq)
        response.reason = 'the memory is empty; steps are counted on'
        self.get_logger().info(f'memory was reset after step {self.order.seq}')
        return response

    def fault(self, kind: str, text: str, times: int = 1) -> None:
        """Count something that should not happen, and say so."""
        if self._faults.add(kind, text, times):
            self.get_logger().warning(f'{kind}: {text}')
        self.diagnostics.refresh()


def _check_told(step: Step, decision: Any) -> None:
    """Publish nothing that is no number, also of a memory that is not ours.

    Raises:
        InputError: naming what is not finite.
    """
    for name in ('gate', 'threshold', 'surprise', 'action_change', 'delta_norm'):
        value = getattr(decision, name)
        if not math.isfinite(value):
            raise InputError(f'step {step.seq}: the memory gave {name} = {value}: must be finite')


def load(kind: str, config: MemoryPolicyConfig, window: int = 0) -> Any:
    """Return a memory by its kind, with the weights a config names."""
    return load_memory(kind, config.weights or None, window)
