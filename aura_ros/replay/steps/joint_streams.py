# SPDX-License-Identifier: Apache-2.0
"""The measured joints of a recording, and its measured pose: recorded names and units to those of the backbone."""

from collections.abc import Sequence
from typing import Any

from aura_ros.control.outputs import POSE_AXES
from aura_ros.control.poses import rotation_vector
from aura_ros.replay.steps.mapping import UNITS, JointStream, Mapping
from aura_ros.vla.assembler import JOINTS
from aura_ros.vla.joints import joint_values
from aura_ros.vla.protocol import BackboneSpec


def stream_names(joints: Sequence[JointStream]) -> dict[str, str]:
    """Return the topic of each source of joints, by the name of its stream."""
    if len(joints) == 1:
        return {JOINTS: joints[0].topic}
    return {f'{JOINTS} {number}': stream.topic for number, stream in enumerate(joints, 1)}


class JointReader:
    """Reads the JointStates and the PoseStampeds of the mapped topics."""

    def __init__(self, mapping: Mapping, spec: BackboneSpec) -> None:
        """Read the positions of the joints of a backbone."""
        self._spec, self._sources = spec, mapping.sources
        measured = {joint: self._sources.source(joint) for joint in spec.joint_names}
        # The recorded name of each measured joint; several joints may have the same one.
        self._names = {
            stream.topic: {
                source: stream.names.get(joint, stream.names.get(source, source)) for joint, source in measured.items()
            }
            for stream in mapping.joints
        }
        self._factors = {stream.topic: UNITS[stream.unit] for stream in mapping.joints}

    def read(self, topic: str, message: Any) -> dict[str, float]:
        """Return the positions of the backbone's joints that a message has, in its units; {} for other joints.

        Raises:
            InputError: `joint_values` refuses the message, or it is a pose with an unusable rotation.
        """
        names, factor = self._names[topic], self._factors[topic]
        is_pose = hasattr(message, 'pose')
        recorded, positions = (POSE_AXES, _axes(message)) if is_pose else (message.name, message.position)
        found = joint_values(recorded, positions, tuple(names.values()))
        measured = {source: found[name] * factor for source, name in names.items() if name in found}
        return self._sources.to_policy(measured, self._spec.joint_names, self._spec.joints_in_degrees)


def _axes(message: Any) -> list[float]:
    """Return the values of POSE_AXES of a PoseStamped, as vla_node does."""
    at, turn = message.pose.position, message.pose.orientation
    return [at.x, at.y, at.z, *rotation_vector((turn.x, turn.y, turn.z, turn.w)).tolist()]
