# SPDX-License-Identifier: Apache-2.0
"""The measured joints of a recording: recorded names and units to those of the backbone."""

from collections.abc import Sequence
from typing import Any

from aura_ros.replay.steps.mapping import UNITS, JointStream, Mapping
from aura_ros.vla.assembler import JOINTS
from aura_ros.vla.joints import joint_values


def stream_names(joints: Sequence[JointStream]) -> dict[str, str]:
    """Return the topic of each source of joints, by the name of its stream."""
    if len(joints) == 1:
        return {JOINTS: joints[0].topic}
    return {f'{JOINTS} {number}': stream.topic for number, stream in enumerate(joints, 1)}


class JointReader:
    """Reads the JointStates of the mapped topics."""

    def __init__(self, mapping: Mapping, joints: Sequence[str]) -> None:
        """Read the positions of `joints`, the names of the backbone."""
        streams, self._sources = mapping.joints, mapping.sources
        # The recorded name of each joint; several joints may have the same one.
        self._names = {stream.topic: {joint: stream.names.get(joint, joint) for joint in joints} for stream in streams}
        self._factors = {stream.topic: UNITS[stream.unit] for stream in streams}

    def read(self, topic: str, message: Any) -> dict[str, float]:
        """Return the positions of the backbone's joints that a JointState names, in its units; {} for other joints.

        Raises:
            InputError: `joint_values` refuses the message.
        """
        names, factor = self._names[topic], self._factors[topic]
        found = joint_values(message.name, message.position, tuple(names.values()))
        return self._sources.to_policy({joint: found[name] * factor for joint, name in names.items() if name in found})
