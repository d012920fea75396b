# SPDX-License-Identifier: Apache-2.0
"""Messages to points: the one module of the monitor that reads the fields of messages.

Anyone on the graph can send any value. A larger integer than `LARGEST` becomes `LARGEST`, because the history stores
int64. Texts and lists without a bound in their message type are cut.
"""

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import Header, String

from aura_ros.common.text import cut
from aura_ros.msg import CacheStatus, GateSample, MemoryState, PolicyStatus, TaskEvent, VlaStep, WriteEvent
from aura_ros.rqt.points import (
    CachePoint,
    DiagnosticPoint,
    GatePoint,
    InstructionPoint,
    PolicyPoint,
    StatePoint,
    StepPoint,
    TaskPoint,
    WritePoint,
)

# Our nodes put these names into `hardware_id`. Other parts of a robot publish on /diagnostics too.
NODES = frozenset({'vla_node', 'memory_node', 'kv_baseline_node', 'policy_switch_node', 'sim_node'})
# A longer delay is no delay: the stamp comes from a simulation or a bag, and the send time does not.
_MAX_DELAY_S = 60.0
LARGEST = 2**63 - 1
# Of one status of /diagnostics: values, and characters of a name, a message and a value.
_MAX_VALUES, _NAME_LENGTH, _TEXT_LENGTH = 64, 100, 1000


class _Stamped(Protocol):
    @property
    def header(self) -> Header: ...


def seconds(stamp: Time) -> float:
    """Return a time message in seconds."""
    return stamp.sec + stamp.nanosec * 1e-9


def _count(value: int) -> int:
    return min(value, LARGEST)


def _delay_s(message: _Stamped, sent_ns: int) -> float:
    """Return the time from the observation to the sending of its message [s]; NaN if the stamp is of another clock."""
    delay_s = sent_ns * 1e-9 - seconds(message.header.stamp)
    return delay_s if 0.0 <= delay_s < _MAX_DELAY_S else math.nan


def gate(message: GateSample, sent_ns: int) -> GatePoint:
    """Return the gate at one step.

    Args:
        message: of either memory.
        sent_ns: when the message was sent [ns, system clock].
    """
    return GatePoint(
        stamp_s=seconds(message.header.stamp),
        episode_id=message.episode_id,
        seq=_count(message.seq),
        gate=message.gate,
        threshold=message.threshold,
        written=message.written,
        surprise=message.surprise,
        step_us=message.step_us,
        state_bytes=_count(message.state_bytes),
        policy=message.policy,
        delay_s=_delay_s(message, sent_ns),
    )


def write(message: WriteEvent) -> WritePoint:
    """Return a write of the memory."""
    return WritePoint(
        stamp_s=seconds(message.header.stamp),
        episode_id=message.episode_id,
        seq=_count(message.seq),
        policy=message.policy,
        gate=message.gate,
        threshold=message.threshold,
        surprise=message.surprise,
        action_change=message.action_change,
        delta_norm=message.delta_norm,
        writes=_count(message.writes),
        bytes_written=_count(message.bytes_written),
        device_bytes=_count(message.device_bytes),
        storage_life_years=message.storage_life_years,
        crc=message.state_crc32,
        durability=message.durability,
    )


def state(message: MemoryState) -> StatePoint:
    """Return the full state of the memory."""
    return StatePoint(
        stamp_s=seconds(message.header.stamp),
        episode_id=message.episode_id,
        seq=_count(message.seq),
        weights=np.array(message.fast_weights, np.float32).reshape(32, 32),
        vector=np.array(message.vector, np.float32),
        row_age=np.minimum(np.array(message.row_age, np.uint64), np.uint64(LARGEST)),
        crc=message.state_crc32,
    )


def cache(message: CacheStatus) -> CachePoint:
    """Return the size of the KV-cache."""
    counts = map(_count, (message.seq, message.entries, message.bytes, message.window))
    return CachePoint(seconds(message.header.stamp), *counts)


def policy(message: PolicyStatus) -> PolicyPoint:
    """Return the policy that drives."""
    return PolicyPoint(
        stamp_s=seconds(message.header.stamp),
        policy=message.policy,
        pending=message.pending_policy,
        effective_seq=_count(message.effective_seq),
        control_enabled=message.control_enabled,
        holding=message.holding,
        reason=message.reason,
        clipped=_count(message.clipped),
        rejected=_count(message.rejected),
        holds=_count(message.holds),
        episode_id=message.episode_id,
    )


def step(message: VlaStep, sent_ns: int) -> StepPoint:
    """Return a step of the backbone.

    Args:
        message: a step.
        sent_ns: when the message was sent [ns, system clock].
    """
    return StepPoint(
        seconds(message.header.stamp),
        _count(message.seq),
        message.inference_ms,
        message.episode_id,
        _delay_s(message, sent_ns),
    )


def task(message: TaskEvent) -> TaskPoint:
    """Return an event of the simulated task."""
    return TaskPoint(seconds(message.header.stamp), message.kind, message.task, message.round, message.colour)


def instruction(message: String) -> InstructionPoint:
    """Return the instruction of the episode that runs."""
    return InstructionPoint(cut(message.data, _TEXT_LENGTH))


def diagnostics(message: DiagnosticArray, namespace: str) -> Iterator[DiagnosticPoint]:
    """Yield the statuses of our nodes of one robot. A remapped node has its original name.

    Args:
        message: from any publisher of /diagnostics.
        namespace: namespace of the robot, '' or '/name'.
    """
    prefix = namespace.strip('/')
    for status in message.status:
        path, _, check = status.name.partition(': ')
        if status.hardware_id in NODES and path.rpartition('/')[0] == prefix:
            pairs = status.values[:_MAX_VALUES]
            values = {cut(pair.key, _NAME_LENGTH): cut(pair.value, _TEXT_LENGTH) for pair in pairs}
            name = cut(f'{status.hardware_id}: {check}', _NAME_LENGTH)
            yield DiagnosticPoint(name, status.level[0], cut(status.message, _TEXT_LENGTH), values)
