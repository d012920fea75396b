# SPDX-License-Identifier: Apache-2.0
"""Joint positions by name, merged from messages that each name some of the joints. No ROS.

An arm and its gripper can publish on one topic in separate messages, or on topics of their own. A `JointTable` keeps
the newest position of each joint with its stamp. The live graph and the replay share this code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError

MAX_JOINT_NAMES = 1024
"""Most joints of a message [1]. A humanoid with two hands has about 100."""
_TEXT = 256
# Backbones read joint positions as float32.
_LARGEST = float(np.finfo(np.float32).max)


def joint_values(names: Sequence[str], positions: Sequence[float], wanted: Sequence[str]) -> dict[str, float]:
    """Return the positions of those `wanted` joints that a message names; other joints are ignored.

    A joint that is listed twice with the same position counts once.

    Raises:
        InputError: the numbers of names and positions differ, there are more than MAX_JOINT_NAMES, a joint has two
            positions, or a position is not finite as float32.
    """
    if len(names) > MAX_JOINT_NAMES:
        raise InputError(f'has {len(names)} names: must have {MAX_JOINT_NAMES} at most')
    if len(positions) != len(names):
        raise InputError(f'has {len(positions)} positions for {len(names)} names: must have one for each')
    needed, found = set(wanted), dict[str, float]()
    for name, position in zip(names, positions, strict=True):
        if name in needed:
            value = float(position)
            if name in found and found[name] != value:
                raise InputError(
                    f'has the joint {name[:64]} twice with different positions, {found[name]:g} and {value:g}: '
                    'must have every joint once'
                )
            found[name] = value
    if bad := {name: value for name, value in found.items() if not abs(value) <= _LARGEST}:
        raise InputError(f'is not finite: {", ".join(f"{name} = {value}" for name, value in bad.items())[:_TEXT]}')
    return found


def all_joints(names: Sequence[str], positions: Sequence[float], wanted: Sequence[str]) -> NDArray[np.float64]:
    """Return the positions of all `wanted` joints in their order, float64 [J].

    Raises:
        InputError: a joint is missing, or `joint_values` refuses the message.
    """
    found = joint_values(names, positions, wanted)
    if missing := [name for name in wanted if name not in found]:
        has = ', '.join(names)[:_TEXT] or 'no joint'
        raise InputError(f'has no joint {", ".join(missing)}; it has {has}')
    return np.array([found[name] for name in wanted], np.float64)


@dataclass(frozen=True, eq=False)
class JointSample:
    """Positions of all joints; each joint has its own stamp."""

    positions: NDArray[np.float64]
    """Newest position of each joint, float64 [J] [rad, m]."""
    stamps_ns: NDArray[np.int64]
    """Stamp of each position, int64 [J] [ns]."""

    @property
    def stamp_ns(self) -> int:
        """Newest stamp [ns]; the stamp of the sample."""
        return int(self.stamps_ns.max())

    def older_than(self, stamp_ns: int, limit_ns: int) -> list[int]:
        """Return the columns of the joints that are more than `limit_ns` older than `stamp_ns`."""
        return [int(column) for column in np.flatnonzero(stamp_ns - self.stamps_ns > limit_ns)]


class JointTable:
    """Newest position of each joint of a robot. Not thread-safe."""

    def __init__(self, names: Sequence[str]) -> None:
        """Start without positions; `names` gives the order of the columns."""
        self.names = tuple(names)
        self._newest: dict[str, tuple[int, float]] = {}

    def add(self, values: Mapping[str, float], stamp_ns: int) -> bool:
        """Take the positions of some joints [rad, m]; return whether one of them is newer than before.

        A position that is not newer than that of its joint is ignored, so messages may arrive out of order.
        """
        newer = {
            name: (stamp_ns, value)
            for name, value in values.items()
            if name in self.names and stamp_ns > self._newest.get(name, (-1, 0.0))[0]
        }
        self._newest.update(newer)
        return bool(newer)

    @property
    def missing(self) -> list[str]:
        """Joints without a position."""
        return [name for name in self.names if name not in self._newest]

    @property
    def newest_ns(self) -> int:
        """Newest stamp of a joint [ns]; -1 without positions."""
        return max((stamp_ns for stamp_ns, _ in self._newest.values()), default=-1)

    def sample(self) -> JointSample | None:
        """Return the newest positions of all joints, or None if a joint has none."""
        if self.missing:
            return None
        found = [self._newest[name] for name in self.names]
        return JointSample(
            np.array([value for _, value in found], np.float64), np.array([stamp_ns for stamp_ns, _ in found], np.int64)
        )

    def clear(self) -> None:
        """Remove all positions, as after a clock jump."""
        self._newest.clear()
