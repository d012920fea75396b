# SPDX-License-Identifier: Apache-2.0
"""Joint positions by name, for the live graph and the replay. No ROS.

A message can name some of the joints: an arm and its gripper publish on one topic in separate messages, or on topics of
their own. `vla.assembler` merges them.
"""

from collections.abc import Sequence

import numpy as np

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
