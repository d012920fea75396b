# SPDX-License-Identifier: Apache-2.0
"""The measured pose of the end effector in a recording."""

from collections.abc import Sequence

from aura_ros.control.outputs import POSE_AXES
from aura_ros.control.sources import JointSources
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.type_names import POSE
from aura_ros.replay.steps.candidates import Notes, is_command
from aura_ros.replay.steps.mapping import JointStream
from aura_ros.replay.steps.recorded_parameters import recorded_parameters


def pose_topic(bag: Bag) -> str:
    """Return the topic of the measured pose: that of the recorded vla_node, or the only pose that is no command.

    '' if there is none, or several.
    """
    found = [topic for topic in bag.of_type(POSE) if topic.count and not is_command(topic)]
    named = [
        f'{node.rpartition("/")[0]}/{name}' if not name.startswith('/') else name
        for node, values in recorded_parameters(bag, 'vla_node').items()
        if (name := str(values.get('pose_topic', '')))
    ]
    used = [topic for topic in found if topic.name in named] or found
    return used[0].name if len(used) == 1 else ''


def measured_pose(bag: Bag, joints: Sequence[str], notes: Notes) -> tuple[JointStream, ...]:
    """Return the source of the pose that is among `joints` of a backbone; () if it reads none, or none was recorded."""
    if not set(POSE_AXES) & set(joints):
        return ()
    if not (topic := pose_topic(bag)):
        notes.add('joints: no single measured pose was recorded; name its topic in the mapping')
        return ()
    return (JointStream(topic),)


def measured_joints(joints: Sequence[str], sources: JointSources, has_pose: bool = False) -> tuple[str, ...]:
    """Return the measured joints that give the values of `joints` of a backbone; with `has_pose` without its axes."""
    left = [name for name in joints if not (has_pose and name in POSE_AXES)]
    return tuple(dict.fromkeys(map(sources.source, left)))
