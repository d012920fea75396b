# SPDX-License-Identifier: Apache-2.0
"""The policy switch for people: what is worth a new PolicyStatus, and what /diagnostics says."""

from aura_ros.control import SwitchStatus
from aura_ros.ros.diagnostics import ERROR, OK, WARN, Status


def visible(status: SwitchStatus, control: bool) -> tuple[object, ...]:
    """Return what is published at once when it changes; counters wait for the next report."""
    return (
        status.episode_id,
        status.policy,
        status.pending_policy,
        status.effective_seq,
        status.holding,
        status.reason,
        control,
    )


def report(status: SwitchStatus, control: bool) -> Status:
    """Return ERROR when a policy is lost, WARN while the robot is held, else OK; and all counters."""
    values = {
        'policy': status.policy.name.lower(),
        'pending policy': status.pending_policy.name.lower(),
        'reason': status.reason,
        'control enabled': control,
        'clipped commands': status.clipped,
        'rejected chunks': status.rejected,
        'missed steps': sum(status.missed.values()),
        'holds': status.holds,
    }
    for policy, missed in status.missed.items():
        values |= {f'{policy.name.lower()} gap': missed} if missed else {}
    for policy, counts in status.refused.items():
        values |= {f'{policy.name.lower()} {kind}': count for kind, count in counts.items()}
    if status.unknown_policy:
        values['of no known policy'] = status.unknown_policy
    for kind, joints in status.limited.items():
        if joints:
            values[f'clipped by {kind}'] = ', '.join(f'{name} {n}' for name, n in joints.items())
    if status.lost:
        names = ', '.join(policy.name.lower() for policy in status.lost)
        reasons = '; '.join(sorted(set(status.lost.values())))
        return Status(ERROR, f'lost: {names}: {reasons}', values)
    if status.holding:
        return Status(WARN, f'holding: {status.reason}', values)
    return Status(OK, status.reason, values)
