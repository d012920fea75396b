# SPDX-License-Identifier: Apache-2.0
"""The mapping: the topics of a recording that are a backbone's cameras, joints, actions and instruction."""

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field

from aura_ros.control import JointSources
from aura_ros.control.robot_file import CheckedFile
from aura_ros.vla.protocol import BackboneSpec

UNITS = {'rad': 1.0, 'deg': 0.017453292519943295, 'm': 1.0, 'mm': 1e-3}
"""Factor from each unit to the units of the package, rad and m."""
CLOCKS = ('stamp', 'arrival')
"""What dates a message: the stamp of its header, or its arrival at the recorder."""


@dataclass(frozen=True)
class JointStream:
    """One source of the measured joint positions."""

    topic: str
    """Topic of JointState messages."""
    names: AnyMapping[str, str] = field(default_factory=dict)
    """Recorded name of each of the backbone's joints whose name differs."""
    unit: str = 'rad'
    """Unit of the recorded positions, one of UNITS."""
    clock: str = 'stamp'
    """What dates a message, one of CLOCKS."""


@dataclass(frozen=True)
class ActionStream:
    """One source of the recorded actions."""

    topic: str
    """Topic of the robot's commands."""
    kind: str = 'auto'
    """One of ACTION_TYPES, or 'auto' for the kind of the topic's type."""
    columns: AnyMapping[str, str] | tuple[str, ...] = ()
    """Recorded name of each of the backbone's joints whose name differs.

    For messages without names (Float64MultiArray), the backbone's joints in the order of the values.
    """
    unit: str = 'rad'
    """Unit of the recorded values, one of UNITS."""
    tolerance_s: float = 0.2
    """How long an action stays in force when none follows [s]."""
    clock: str = 'stamp'
    """What dates a message, one of CLOCKS."""
    only: tuple[str, ...] = ()
    """Recorded names that this source commands; its other columns are not used. Empty: all."""


@dataclass(frozen=True)
class Instruction:
    """Source of the instruction: a topic or a text."""

    topic: str = ''
    """Topic of String messages."""
    text: str = ''
    """Text for the whole recording."""


@dataclass(frozen=True)
class Mapping:
    """Roles of the topics of a recording."""

    cameras: AnyMapping[str, str]
    """Topic of each of the backbone's cameras; several cameras can share one. Recorded steps need no cameras."""
    joints: tuple[JointStream, ...] = ()
    """Measured joint positions; several topics are merged by joint. Recorded steps need none."""
    actions: tuple[ActionStream, ...] = ()
    """Recorded actions, which the proposed ones are compared with; several topics are merged by joint."""
    instruction: Instruction = Instruction()
    """Instruction of the robot."""
    steps: str = ''
    """Topic of recorded VlaSteps, which replace the backbone if they fit; '' without them."""
    slop_s: float = 0.06
    """Largest distance between a part's stamp and the first camera's in one observation [s]."""
    max_joint_age_s: float = 0.0
    """Largest distance between a joint's stamp and the first camera's, in place of `slop_s`; 0 is `slop_s` [s]."""
    arrival_cameras: frozenset[str] = frozenset()
    """Cameras whose pictures are dated by their arrival; the others by their stamps."""
    sources: JointSources = field(default_factory=JointSources)
    """The maps of the robot file, from its units to those of the policy, and the largest age of each joint."""
    action_names: tuple[str, ...] = ()
    """Recorded names that the actions follow from, if they are not the first joints of the backbone: see `motions`."""
    robot: CheckedFile | None = None
    """Robot file that gives the joints, actions, names and maps that the mapping does not have."""
    rotation_middle: tuple[float, ...] = ()
    """Middle of the robot's limits of the rotation vector of a pose [rad]; () without a robot file or pose."""
    per_unit: tuple[float, float] = (0.0, 0.0)
    """Translation [m] and rotation [rad] of an end-effector action with the unit 1 and the value 1; 0 is unknown."""

    def columns(self, spec: BackboneSpec) -> tuple[str, ...]:
        """Return the names of the columns of the backbone's actions."""
        names = self.targets(spec)
        return names if len(names) == spec.action_dim else spec.action_names

    def targets(self, spec: BackboneSpec) -> tuple[str, ...]:
        """Return the recorded names that the actions of the backbone follow from."""
        return self.action_names or spec.action_names

    def joint_names(self, spec: BackboneSpec) -> frozenset[str]:
        """Return every name that a joint or a column of the action has: in the backbone, the mapping, the recording."""
        names = {*spec.joint_names, *self.targets(spec)}
        for stream in self.joints:
            names.update(stream.names.values())
        for action in self.actions:
            names.update(action.columns.values() if isinstance(action.columns, AnyMapping) else action.columns)
            names.update(action.only)
        return frozenset(names)

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic of the mapping, each once."""
        named = [*self.cameras.values(), *(stream.topic for stream in self.joints), self.instruction.topic, self.steps]
        return tuple(dict.fromkeys(filter(None, [*named, *(stream.topic for stream in self.actions)])))

    @property
    def by_arrival(self) -> frozenset[str]:
        """Topics whose messages are dated by their arrival."""
        cameras = [self.cameras[camera] for camera in self.arrival_cameras]
        joints = [stream.topic for stream in self.joints if stream.clock == 'arrival']
        return frozenset([*cameras, *joints, *(one.topic for one in self.actions if one.clock == 'arrival')])
