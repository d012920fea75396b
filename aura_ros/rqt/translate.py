# SPDX-License-Identifier: Apache-2.0
"""Messages to the points of the model: the one place of the monitor that reads their fields."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray

from aura_ros.msg import CacheStatus, GateSample, MemoryState, PolicyStatus, VlaStep, WriteEvent
from aura_ros.rqt.points import CachePoint, DiagnosticPoint, GatePoint, PolicyPoint, StatePoint, StepPoint, WritePoint

# Diagnostics of other parts of a robot go the same way; ours name their node here.
NODES = frozenset({'vla_node', 'memory_node', 'kv_baseline_node', 'policy_switch_node', 'sim_node'})
# A delay beyond that is none: the stamp is of a simulation or of a bag, the sender's clock is not.
_MOST_DELAY_S = 60.0


def seconds(stamp: Any) -> float:
    """Return a time message as seconds."""
    return stamp.sec + stamp.nanosec * 1e-9


def _delay_s(message: Any, sent_ns: int) -> float:
    """From the observation until the message was sent, both on the system's clock [s]; else NaN."""
    delay_s = sent_ns * 1e-9 - seconds(message.header.stamp)
    return delay_s if 0.0 <= delay_s < _MOST_DELAY_S else math.nan


def gate(message: GateSample, sent_ns: int) -> GatePoint:
    """Return the gate at one step; `sent_ns` is when it was sent [ns, system clock]."""
    return GatePoint(
        stamp_s=seconds(message.header.stamp),
        episode_id=message.episode_id,
        seq=message.seq,
        gate=message.gate,
        threshold=message.threshold,
        written=message.written,
        surprise=message.surprise,
        step_us=message.step_us,
        state_bytes=message.state_bytes,
        policy=message.policy,
        delay_s=_delay_s(message, sent_ns),
    )


def write(message: WriteEvent) -> WritePoint:
    """Return a write."""
    return WritePoint(
        stamp_s=seconds(message.header.stamp),
        episode_id=message.episode_id,
        seq=message.seq,
        policy=message.policy,
        gate=message.gate,
        threshold=message.threshold,
        surprise=message.surprise,
        action_change=message.action_change,
        delta_norm=message.delta_norm,
        writes=message.writes,
        bytes_written=message.bytes_written,
        device_bytes=message.device_bytes,
        storage_life_years=message.storage_life_years,
        crc=message.state_crc32,
        durability=message.durability,
    )


def state(message: MemoryState) -> StatePoint:
    """Return the whole state."""
    return StatePoint(
        stamp_s=seconds(message.header.stamp),
        episode_id=message.episode_id,
        seq=message.seq,
        weights=np.array(message.fast_weights, np.float32).reshape(32, 32),
        vector=np.array(message.vector, np.float32),
        row_age=np.array(message.row_age, np.uint64),
        crc=message.state_crc32,
    )


def cache(message: CacheStatus) -> CachePoint:
    """Return the size of the KV-cache."""
    return CachePoint(seconds(message.header.stamp), message.seq, message.entries, message.bytes, message.window)


def policy(message: PolicyStatus) -> PolicyPoint:
    """Return who drives."""
    return PolicyPoint(
        stamp_s=seconds(message.header.stamp),
        policy=message.policy,
        pending=message.pending_policy,
        effective_seq=message.effective_seq,
        control_enabled=message.control_enabled,
        holding=message.holding,
        reason=message.reason,
        clipped=message.clipped,
        rejected=message.rejected,
        holds=message.holds,
        episode_id=message.episode_id,
    )


def step(message: VlaStep, sent_ns: int) -> StepPoint:
    """Return a step of the VLA; `sent_ns` is when it was sent [ns, system clock]."""
    return StepPoint(
        seconds(message.header.stamp), message.seq, message.inference_ms, message.episode_id, _delay_s(message, sent_ns)
    )


def diagnostics(message: DiagnosticArray, namespace: str) -> Iterator[DiagnosticPoint]:
    """Yield what our nodes of one robot report; a node that was renamed has the name it was made with.

    Args:
        message: from anybody on the graph.
        namespace: of the robot, '' or '/name'.
    """
    prefix = namespace.strip('/')
    for status in message.status:
        path, _, check = status.name.partition(': ')
        if status.hardware_id in NODES and path.rpartition('/')[0] == prefix:
            values = {pair.key: pair.value for pair in status.values}
            name = f'{status.hardware_id}: {check}'
            yield DiagnosticPoint(name, status.level[0], status.message, values)
