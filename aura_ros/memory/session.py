# SPDX-License-Identifier: Apache-2.0
"""One memory and the steps applied to it, each exactly once: validate the whole step, decide, then change.

The memory nodes, the replay and the closed-loop rollouts all apply their steps here. They therefore reset, write and
refuse at the same steps, bit for bit.

A refused step leaves no trace: the memory, its number of writes and the step order stay as they were. The next good
step then follows after a gap, because the refused one is missing. A refused first step of an episode does not begin
the episode.
"""

import math
import time
from dataclasses import dataclass

import numpy as np

from aura_ros.common.action_spec import components_text, equal_meaning
from aura_ros.common.errors import InputError
from aura_ros.common.text_files import reason
from aura_ros.memory.protocol import Decision, Memory
from aura_ros.memory.step import Step, StepRefused
from aura_ros.memory.step_order import StepOrder, StepVerdict

MAX_SEQ = 2**63 - 1
"""Largest number of a step: a state file has a signed number of 8 bytes."""


@dataclass(frozen=True)
class Applied:
    """What one applied step did."""

    decision: Decision
    verdict: StepVerdict
    """NEXT, NEW_EPISODE or AFTER_GAP."""
    skipped: int
    """Steps missing before this one: lost, or refused."""
    emptied: bool
    """Whether the memory was reset before the step, because its episode is new."""
    step_us: float
    """Time of `Memory.step` [us]."""


class MemorySession:
    """Applies steps to one memory. One thread."""

    def __init__(self, memory: Memory, reset_on_new_episode: bool = True) -> None:
        """Take over the memory; its state is kept until the first step.

        Args:
            memory: used by this session only.
            reset_on_new_episode: whether the first step of an episode resets the memory; False keeps its state.
        """
        self.memory = memory
        self.reset_on_new_episode = reset_on_new_episode
        self.order = StepOrder()

    def apply(self, step: Step) -> Applied:
        """Apply one step.

        Raises:
            StepRefused: if the step is out of order, does not fit the memory, or if the memory raises any exception or
                returns values that are not finite. Nothing has changed then.
        """
        name = f'step {step.seq} of {step.episode_id}'
        verdict = self.order.look(step.episode_id, step.seq, step.stamp_ns)
        if not verdict.apply:
            raise StepRefused(verdict.value, f'{name} was {verdict.why}')
        if problem := step_problem(step, self.memory):
            raise StepRefused('rejected', f'{name}: {problem}')
        emptied = verdict is StepVerdict.NEW_EPISODE and self.reset_on_new_episode
        try:
            kept = self.memory.keep()
        except Exception as error:
            raise _failed(name, error) from error
        try:
            if emptied:
                self.memory.reset()
            began = time.perf_counter()
            decision = self.memory.step(step.features, step.base_action)
            step_us = (time.perf_counter() - began) * 1e6
            if problem := decision_problem(decision, step):
                raise InputError(problem)
        except BaseException as error:
            self.memory.undo(kept)
            if isinstance(error, Exception):
                raise _failed(name, error) from error
            raise
        skipped = self.order.commit(step.episode_id, step.seq, step.stamp_ns)
        return Applied(decision, verdict, skipped, emptied, step_us)

    def reset(self) -> None:
        """Empty the memory. The step order goes on."""
        self.memory.reset()

    def restore(self, payload: bytes, writes: int, episode_id: str, seq: int, stamp_ns: int = 0) -> None:
        """Continue from a saved state.

        Args:
            payload: carried state, from `Memory.export`.
            writes: number of writes of that state.
            episode_id: its episode.
            seq: last step applied to it, -1 if none.
            stamp_ns: observation of that step [ns, ROS clock]; 0 if unknown.

        Raises:
            StateError: if the state does not fit the memory; nothing has changed then.
        """
        self.memory.restore(payload)
        self.memory.writes = writes
        self.order.restore(episode_id, seq, stamp_ns)


def _failed(name: str, error: Exception) -> StepRefused:
    cause = error if isinstance(error, InputError) else f'the memory raised {reason(error)}'
    return StepRefused('rejected', f'{name}: {cause}; the step was undone')


def step_problem(step: Step, memory: Memory) -> str:
    """Return why a step cannot be applied to a memory, '' if it can."""
    if not 0 <= step.seq <= MAX_SEQ:
        return f'seq must be 0..2^63 - 1, got {step.seq}'
    if not step.episode_id.isascii():
        return f'episode_id {step.episode_id!r} must be a UUID in ASCII'
    if memory.feature_dim and not step.features.size:
        return (
            'the backbone sends no features, so it can drive as policy base only; tap its features (docs/vla.md) and '
            'train a memory on them'
        )
    wanted = memory.backbone_hash
    if wanted and step.backbone_hash and step.backbone_hash != wanted:
        return (
            f'the step is from a VLA with weights {step.backbone_hash[:12]}, the memory is trained for {wanted[:12]}; '
            "set 'weights' to a memory trained for that VLA"
        )
    if memory.components is not None and not equal_meaning(step.components, memory.components):
        return (
            f'the actions of the VLA are {components_text(step.components)}, and the memory is trained for '
            f"{components_text(memory.components)}; set 'weights' to a memory trained for that VLA"
        )
    if not 0.0 < step.seconds_per_action < math.inf:
        return f'seconds_per_action is {step.seconds_per_action}: must be > 0 and finite'
    for name, shape in (('features', (memory.feature_dim,)), ('base_action', memory.chunk_shape)):
        array = getattr(step, name)
        if array.shape != shape:
            return f'{name} has shape {array.shape}: must be {shape}; is the memory trained for this VLA?'
        if not (finite := np.isfinite(array)).all():
            return f'{name}: {int((~finite).sum())} of {array.size} values are not finite'
    return ''


def decision_problem(decision: Decision, step: Step) -> str:
    """Return why a decision must not be published, '' if it may; covers memories of users as well."""
    for name in ('gate', 'threshold', 'surprise', 'action_change', 'delta_norm'):
        if not math.isfinite(value := getattr(decision, name)):
            return f'the memory returned {name} = {value}, which is not finite'
    action = np.asarray(decision.action, np.float32)
    if action.shape != step.base_action.shape:
        return f'the memory returned an action of shape {action.shape}: must be {step.base_action.shape}'
    return '' if np.isfinite(action).all() else 'the memory returned an action that is not finite'
