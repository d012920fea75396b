# SPDX-License-Identifier: Apache-2.0
"""The status of the policy switch: PolicyStatus messages and the report on /diagnostics."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.publisher import Publisher

from aura_ros.control import SwitchStatus
from aura_ros.msg import PolicyStatus
from aura_ros.ros import conversions
from aura_ros.ros.diagnostics import ERROR, OK, WARN, Status

_PERIOD_S = 0.5


class StatusReporter:
    """Publishes PolicyStatus when a visible field has changed, and at least twice a second (steady clock)."""

    def __init__(self, publisher: Publisher[PolicyStatus], changed: Callable[[], None]) -> None:
        """Publish on `publisher`; call `changed` when a visible field has changed."""
        self._publisher = publisher
        self._changed = changed
        self._shown: tuple[object, ...] = ()
        self._shown_at = time.monotonic()

    def show(self, status: SwitchStatus, now_ns: int, control: bool, always: bool = False) -> None:
        """Publish `status` if due, or `always`; `now_ns` is the stamp [ns, ROS clock]."""
        visible = _visible(status, control)
        new = visible != self._shown
        if new:
            self._changed()
        if always or new or time.monotonic() - self._shown_at > _PERIOD_S:
            self._shown, self._shown_at = visible, time.monotonic()
            self._publisher.publish(conversions.status_to_msg(status, now_ns, control))


def _visible(status: SwitchStatus, control: bool) -> tuple[object, ...]:
    """Return the fields that are published at once on a change; counters wait for the next period."""
    return (
        status.episode_id,
        status.policy,
        status.pending_policy,
        status.effective_seq,
        status.holding,
        status.reason,
        control,
    )


def diagnose(status: SwitchStatus, control: bool, watchdog_holds: int) -> Status:
    """Return all counters with ERROR if a policy is lost or none may drive, WARN while the robot is held, else OK."""
    values: dict[str, object] = {
        'policy': status.policy.name.lower(),
        'pending policy': status.pending_policy.name.lower(),
        'reason': status.reason,
        'control enabled': control,
        'clipped commands': status.clipped,
        'rejected chunks': status.rejected,
        'missed steps': sum(status.missed.values()),
        'holds': status.holds,
        'holds by the watchdog': watchdog_holds,
    }
    for policy, missed in status.missed.items():
        values |= {f'{policy.name.lower()} gap': missed} if missed else {}
    for policy, counts in status.refused.items():
        values |= {f'{policy.name.lower()} {kind}': count for kind, count in counts.items()}
    if status.unknown_policy:
        values['unknown policy'] = status.unknown_policy
    for kind, joints in status.limited.items():
        if joints:
            values[f'clipped by {kind}'] = ', '.join(f'{name} {n}' for name, n in joints.items())
    if status.blocked:
        return Status(ERROR, f'holding: {status.blocked}', values)
    if status.lost:
        names = ', '.join(policy.name.lower() for policy in status.lost)
        reasons = '; '.join(sorted(set(status.lost.values())))
        return Status(ERROR, f'lost: {names}: {reasons}', values)
    if status.holding:
        return Status(WARN, f'holding: {status.reason}', values)
    return Status(OK, status.reason, values)
