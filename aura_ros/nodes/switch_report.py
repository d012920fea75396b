# SPDX-License-Identifier: Apache-2.0
"""The arm switch for people: what is worth a new ArmStatus, and what /diagnostics says."""

from aura_ros.control import SwitchStatus
from aura_ros.nodes.diagnostics import ERROR, OK, WARN, Status


def visible(status: SwitchStatus, control: bool) -> tuple[object, ...]:
    """Return what is published at once when it changes; counters wait for the next report."""
    return (
        status.episode_id,
        status.arm,
        status.pending_arm,
        status.effective_seq,
        status.holding,
        status.reason,
        control,
    )


def report(status: SwitchStatus, control: bool) -> Status:
    """Return ERROR when an arm is lost, WARN while the robot is held, else OK; and all counters."""
    values = {
        'arm': status.arm.name.lower(),
        'pending arm': status.pending_arm.name.lower(),
        'reason': status.reason,
        'control enabled': control,
        'clipped commands': status.clipped,
        'rejected chunks': status.rejected,
        'missed steps': sum(status.missed.values()),
        'holds': status.holds,
    }
    for arm, missed in status.missed.items():
        values |= {f'{arm.name.lower()} gap': missed} if missed else {}
    for arm, counts in status.refused.items():
        values |= {f'{arm.name.lower()} {kind}': count for kind, count in counts.items()}
    if status.unknown_arm:
        values['of no known arm'] = status.unknown_arm
    for kind, joints in status.limited.items():
        if joints:
            values[f'clipped by {kind}'] = ', '.join(f'{name} {n}' for name, n in joints.items())
    if status.lost:
        names = ', '.join(arm.name.lower() for arm in status.lost)
        reasons = '; '.join(sorted(set(status.lost.values())))
        return Status(ERROR, f'lost: {names}: {reasons}', values)
    if status.holding:
        return Status(WARN, f'holding: {status.reason}', values)
    return Status(OK, status.reason, values)
