# SPDX-License-Identifier: Apache-2.0
"""Messages to numpy and back, the only place where fields of aura_ros messages are filled.

rclpy does not check types unless ROS_PYTHON_CHECK_FIELDS is set, and publishes a numpy scalar as
0.0 without a word. So every scalar goes through float() or int() and every sequence becomes an
array.array (which is also a hundred times faster than a list).
"""

import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import JointState

from aura_ros.common.errors import InputError
from aura_ros.control import Chunk, Policy, SwitchStatus
from aura_ros.memory import Step, StepRefused, state_crc
from aura_ros.msg import ActionChunk, CacheStatus, GateSample, MemoryState, PolicyStatus, VlaStep, WriteEvent

_NS = 1_000_000_000


def to_ns(stamp: Time) -> int:
    """Return a time message as nanoseconds."""
    return stamp.sec * _NS + stamp.nanosec


def to_stamp(ns: int) -> Time:
    """Return nanoseconds as a time message; negative ones become zero."""
    sec, nanosec = divmod(max(0, int(ns)), _NS)
    return Time(sec=sec, nanosec=nanosec)


def float32s(values: NDArray[Any]) -> 'array.array[float]':
    """Return an array's values, row-major, as a float32 message sequence."""
    return array.array('f', np.ascontiguousarray(values, np.float32).tobytes())


def float64s(values: NDArray[Any]) -> 'array.array[float]':
    """Return an array's values, row-major, as a float64 message sequence."""
    return array.array('d', np.ascontiguousarray(values, np.float64).tobytes())


def finite(name: str, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return `values` as float32 of `shape`.

    Raises:
        InputError: another shape, or NaN or infinity among them.
    """
    found = np.asarray(values, np.float32)
    if found.shape != shape:
        raise InputError(f'{name} has shape {found.shape}: must be {shape}')
    if not np.isfinite(found).all():
        raise InputError(f'{name}: {int((~np.isfinite(found)).sum())} of {found.size} not finite')
    return found


def step_to_msg(step: Step) -> VlaStep:
    """Return a step as the message that all policies read."""
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
    return message


def step_from_msg(message: VlaStep) -> Step:
    """Return a step. Its values are views on the message; `MemorySession` checks them.

    Raises:
        StepRefused: if base_action does not have chunk_size x action_dim values.
    """
    shape = (message.chunk_size, message.action_dim)
    base_action = np.frombuffer(message.base_action, np.float32)
    if base_action.size != shape[0] * shape[1]:
        text = f'base_action has {base_action.size} values: must be chunk_size x action_dim = {shape[0]} x {shape[1]}'
        raise StepRefused('rejected', f'step {message.seq} of {message.episode_id}: {text}')
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
    )


def chunk_to_msg(step: Step, policy: int, actions: NDArray[Any]) -> ActionChunk:
    """Return the action chunk of `policy` for `step`, actions [chunk_size, action_dim] [rad, m]."""
    message = ActionChunk()
    message.header.stamp = to_stamp(step.stamp_ns)
    message.header.frame_id = step.frame_id
    message.episode_id = step.episode_id
    message.seq = int(step.seq)
    message.policy = int(policy)
    message.actions = float32s(actions)
    message.chunk_size, message.action_dim = (int(size) for size in actions.shape)
    message.seconds_per_action = float(step.seconds_per_action)
    return message


def chunk_from_msg(message: ActionChunk) -> Chunk:
    """Return a chunk as it came: the policy switch checks it, counts what is wrong, and says so."""
    return _chunk(message, message.policy, message.actions)


def base_chunk_from_msg(message: VlaStep) -> Chunk:
    """Return the frozen VLA's own proposal as a chunk, unchecked."""
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
    )


def _about(message: Any, step: Step) -> None:
    message.header.stamp = to_stamp(step.stamp_ns)
    message.episode_id = step.episode_id
    message.seq = int(step.seq)


def gate_to_msg(step: Step, policy: int, decision: Any, step_us: float, size: int) -> GateSample:
    """Return the gate at one step; `decision` is a memory's Decision, `size` its state [B]."""
    message = GateSample()
    _about(message, step)
    message.policy = int(policy)
    message.gate = float(decision.gate)
    message.threshold = float(decision.threshold)
    message.written = bool(decision.written)
    message.surprise = float(decision.surprise)
    message.step_us = float(step_us)
    message.state_bytes = int(size)
    return message


def write_to_msg(step: Step, policy: int, decision: Any, writes: int, size: int, crc: int) -> WriteEvent:
    """Return a write, safe in RAM only; `writes` since the reset, `size` and `crc` of the state."""
    message = WriteEvent()
    _about(message, step)
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


def state_to_msg(step: Step, memory: Any) -> MemoryState:
    """Return the whole state of the AURA memory after `step`."""
    message = MemoryState()
    _about(message, step)
    message.fast_weights = np.array(memory.fast_weights, np.float32).ravel()
    message.vector = np.array(memory.vector, np.float32)
    message.row_age = np.array(memory.row_age, np.uint64)
    message.state_crc32 = state_crc(memory)
    return message


def cache_to_msg(step: Step, memory: Any) -> CacheStatus:
    """Return the size of the KV-cache after `step`."""
    message = CacheStatus()
    _about(message, step)
    message.entries = int(memory.entries)
    message.bytes = int(memory.state_bytes)
    message.window = int(memory.window)
    return message


def status_to_msg(status: SwitchStatus, now_ns: int, control_enabled: bool) -> PolicyStatus:
    """Return the policy switch at a glance."""
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


def joints_from_msg(message: JointState, names: Sequence[str]) -> NDArray[np.float64]:
    """Return the positions of `names` in their order, float64 [J] [rad, m].

    Raises:
        InputError: a joint is missing, is there twice, or its position is not finite.
    """
    place = {name: index for index, name in enumerate(message.name)}
    if len(place) != len(message.name):
        twice = next(name for name in place if list(message.name).count(name) > 1)
        raise InputError(f'joint_states has {twice} twice: which one is meant?')
    missing = [name for name in names if name not in place]
    if missing:
        lacks, has = ', '.join(missing), ', '.join(message.name)
        raise InputError(f'joint_states lacks {lacks}; it has {has or "no joint"}')
    if len(message.position) != len(message.name):
        count = f'{len(message.position)} positions for {len(message.name)} names'
        raise InputError(f'joint_states has {count}: must be as many')
    positions = np.array([message.position[place[name]] for name in names])
    if not np.isfinite(positions).all():
        raise InputError(f'joint_states is not finite: {positions.tolist()}')
    return positions
