# SPDX-License-Identifier: Apache-2.0
"""Conversion of messages to numpy and back; the only module that fills the fields of aura_ros messages.

rclpy does not check types unless ROS_PYTHON_CHECK_FIELDS is set, and silently publishes a numpy scalar as 0.0. So every
scalar passes float() or int(), and every sequence becomes an array.array, which is also a hundred times faster than a
list.
"""

import array
from functools import lru_cache
from typing import Protocol

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray

import aura_ros.msg
from aura_ros.common.action_codes import CODES, code, components_of
from aura_ros.common.action_spec import ActionComponent, is_absolute_joints
from aura_ros.common.errors import InputError
from aura_ros.control import Chunk, Policy, SwitchStatus
from aura_ros.memory import Decision, Memory, Step, StepRefused, state_crc
from aura_ros.msg import ActionChunk, CacheStatus, GateSample, MemoryState, PolicyStatus, VlaStep, WriteEvent

_NS = 1_000_000_000
Floats = NDArray[np.floating]


class MatrixMemory(Memory, Protocol):
    """A memory whose state is a matrix and a vector, as in MemoryState."""

    @property
    def fast_weights(self) -> NDArray[np.float32]:
        """float32 [32, 32]."""

    @property
    def vector(self) -> NDArray[np.float32]:
        """float32 [32]."""

    @property
    def row_age(self) -> NDArray[np.uint64]:
        """Steps since each row changed, uint64 [32]."""


class CacheMemory(Memory, Protocol):
    """A memory that keeps one entry per step."""

    @property
    def entries(self) -> int:
        """Entries kept."""

    @property
    def window(self) -> int:
        """Most entries kept, 0 = unbounded."""


def to_ns(stamp: Time) -> int:
    """Return a time message in nanoseconds."""
    return stamp.sec * _NS + stamp.nanosec


def to_stamp(ns: int) -> Time:
    """Return nanoseconds as a time message; negative values become zero."""
    sec, nanosec = divmod(max(0, int(ns)), _NS)
    return Time(sec=sec, nanosec=nanosec)


def float32s(values: Floats) -> 'array.array[float]':
    """Return the values of an array, row-major, as a float32 message field."""
    return array.array('f', np.ascontiguousarray(values, np.float32).tobytes())


def float64s(values: Floats) -> 'array.array[float]':
    """Return the values of an array, row-major, as a float64 message field."""
    return array.array('d', np.ascontiguousarray(values, np.float64).tobytes())


def finite(name: str, values: Floats, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return `values` as float32 of `shape`.

    Raises:
        InputError: another shape, or values that are not finite.
    """
    found = np.asarray(values, np.float32)
    if found.shape != shape:
        raise InputError(f'{name} has shape {found.shape}: must be {shape}')
    if not np.isfinite(found).all():
        raise InputError(f'{name}: {int((~np.isfinite(found)).sum())} of {found.size} values are not finite')
    return found


def step_to_msg(step: Step) -> VlaStep:
    """Return a step as the message that all policies subscribe."""
    message = VlaStep()
    message.header.stamp = to_stamp(step.stamp_ns)
    message.header.frame_id = step.frame_id
    message.episode_id = step.episode_id
    message.backbone_hash = step.backbone_hash
    message.seq = int(step.seq)
    message.features = float32s(step.features)
    message.base_action = float32s(step.base_action)
    message.chunk_size, message.action_dim = (int(size) for size in step.base_action.shape)
    message.seconds_per_action = float(step.seconds_per_action)
    message.inference_ms = float(step.inference_ms)
    _fill_components(message, step)
    return message


def _fill_components(message: VlaStep | ActionChunk, step: Step) -> None:
    """Set the meaning of the columns, which is left out for absolute joint targets."""
    if not is_absolute_joints(step.components):
        message.components = _components(step.components)


@lru_cache(maxsize=16)
def _components(components: tuple[ActionComponent, ...]) -> 'list[aura_ros.msg.ActionComponent]':
    return [component_to_msg(component) for component in components]


def component_to_msg(component: ActionComponent) -> 'aura_ros.msg.ActionComponent':
    """Return an action component as a message."""
    message = aura_ros.msg.ActionComponent()
    message.name, message.unit = component.name, component.unit
    message.dims, message.binary = int(component.dims), bool(component.binary)
    message.range = array.array('d', component.range or ())
    for field in CODES:
        setattr(message, field, code(field, getattr(component, field)))
    return message


def step_from_msg(message: VlaStep) -> Step:
    """Return the step of a message. Its arrays are views on the message; `MemorySession` checks them.

    Raises:
        StepRefused: base_action does not have chunk_size x action_dim values, or the components are not usable.
    """
    shape = (message.chunk_size, message.action_dim)
    base_action = np.frombuffer(message.base_action, np.float32)
    if base_action.size != shape[0] * shape[1]:
        text = f'base_action has {base_action.size} values: must be chunk_size x action_dim = {shape[0]} x {shape[1]}'
        raise StepRefused('rejected', f'step {message.seq} of {message.episode_id}: {text}')
    try:
        components = components_of(message, message.action_dim)
    except InputError as error:
        raise StepRefused('rejected', f'step {message.seq} of {message.episode_id}: {error}') from error
    return Step(
        episode_id=message.episode_id,
        seq=message.seq,
        stamp_ns=to_ns(message.header.stamp),
        features=np.frombuffer(message.features, np.float32),
        base_action=base_action.reshape(shape),
        seconds_per_action=message.seconds_per_action,
        inference_ms=message.inference_ms,
        backbone_hash=message.backbone_hash,
        frame_id=message.header.frame_id,
        components=components,
    )


def chunk_to_msg(step: Step, policy: int, actions: Floats) -> ActionChunk:
    """Return the action chunk of `policy` for `step`, actions [chunk_size, action_dim]."""
    message = ActionChunk()
    message.header.stamp = to_stamp(step.stamp_ns)
    message.header.frame_id = step.frame_id
    message.episode_id = step.episode_id
    message.seq = int(step.seq)
    message.policy = int(policy)
    message.actions = float32s(actions)
    message.chunk_size, message.action_dim = (int(size) for size in actions.shape)
    message.seconds_per_action = float(step.seconds_per_action)
    _fill_components(message, step)
    return message


def chunk_from_msg(message: ActionChunk) -> Chunk:
    """Return the chunk of a message; the policy switch checks its other fields and counts the faults.

    Raises:
        InputError: the components are not usable.
    """
    return _chunk(message, message.policy, message.actions)


def base_chunk_from_msg(message: VlaStep) -> Chunk:
    """Return the base action of a step as a chunk; see `chunk_from_msg`."""
    return _chunk(message, int(Policy.BASE), message.base_action)


def _chunk(message: ActionChunk | VlaStep, policy: int, actions: 'array.array[float]') -> Chunk:
    return Chunk(
        policy=policy,
        episode_id=message.episode_id,
        seq=message.seq,
        stamp_ns=to_ns(message.header.stamp),
        actions=np.frombuffer(actions, np.float32),
        chunk_size=message.chunk_size,
        action_dim=message.action_dim,
        seconds_per_action=message.seconds_per_action,
        components=components_of(message, message.action_dim),
    )


def _fill_header(message: CacheStatus | GateSample | MemoryState | WriteEvent, step: Step) -> None:
    message.header.stamp = to_stamp(step.stamp_ns)
    message.episode_id = step.episode_id
    message.seq = int(step.seq)


def gate_to_msg(step: Step, policy: int, decision: Decision, step_us: float, size: int) -> GateSample:
    """Return the gate of a step; `size` is that of the state [B]."""
    message = GateSample()
    _fill_header(message, step)
    message.policy = int(policy)
    message.gate = float(decision.gate)
    message.threshold = float(decision.threshold)
    message.written = bool(decision.written)
    message.surprise = float(decision.surprise)
    message.step_us = float(step_us)
    message.state_bytes = int(size)
    return message


def write_to_msg(step: Step, policy: int, decision: Decision, writes: int, size: int, crc: int) -> WriteEvent:
    """Return a write that is in RAM only; `writes` since the reset, `size` [B] and `crc` of the state."""
    message = WriteEvent()
    _fill_header(message, step)
    message.policy = int(policy)
    message.gate = float(decision.gate)
    message.threshold = float(decision.threshold)
    message.surprise = float(decision.surprise)
    message.action_change = float(decision.action_change)
    message.delta_norm = float(decision.delta_norm)
    message.writes = int(writes)
    message.bytes_written = int(writes) * int(size)
    message.state_crc32 = int(crc)
    message.durability = WriteEvent.DURABILITY_RAM
    return message


def state_to_msg(step: Step, memory: MatrixMemory) -> MemoryState:
    """Return the full state of the AURA memory after `step`."""
    message = MemoryState()
    _fill_header(message, step)
    message.fast_weights = np.array(memory.fast_weights, np.float32).ravel()
    message.vector = np.array(memory.vector, np.float32)
    message.row_age = np.array(memory.row_age, np.uint64)
    message.state_crc32 = state_crc(memory)
    return message


def cache_to_msg(step: Step, memory: CacheMemory) -> CacheStatus:
    """Return the size of the KV-cache after `step`."""
    message = CacheStatus()
    _fill_header(message, step)
    message.entries = int(memory.entries)
    message.bytes = int(memory.state_bytes)
    message.window = int(memory.window)
    return message


def status_to_msg(status: SwitchStatus, now_ns: int, control_enabled: bool) -> PolicyStatus:
    """Return the status of the policy switch."""
    message = PolicyStatus()
    message.header.stamp = to_stamp(now_ns)
    message.episode_id = status.episode_id
    message.policy = int(status.policy)
    message.pending_policy = int(status.pending_policy)
    message.effective_seq = int(status.effective_seq)
    message.control_enabled = bool(control_enabled)
    message.holding = bool(status.holding)
    message.reason = status.reason[:256]
    message.newest_seq = np.array(status.newest_seq, np.uint64)
    message.newest_stamp = [to_stamp(ns) for ns in status.newest_stamp_ns]
    message.clipped = int(status.clipped)
    message.rejected = int(status.rejected)
    message.holds = int(status.holds)
    return message
