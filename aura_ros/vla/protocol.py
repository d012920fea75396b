# SPDX-License-Identifier: Apache-2.0
"""The interface of a frozen vision-language-action backbone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.action_spec import ActionComponent, ActionSpec, absolute_joints
from aura_ros.common.errors import ConfigError
from aura_ros.common.rotations import from_matrix, to_matrix
from aura_ros.common.state_spec import StateSpec


@dataclass(frozen=True)
class Observation:
    """One synchronised set of inputs."""

    images: Mapping[str, NDArray[np.uint8]]
    """By camera, for every camera of the spec: RGB, uint8 [H, W, 3], any size."""
    joint_positions: NDArray[np.float32]
    """Measured, in the order of the spec's joint_names, float32 [J] [rad, m, or deg where the state says so]."""
    instruction: str
    """The task in words."""
    state: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Measured state by part of the spec's state, each float32 [dims] in the unit of the part."""


@dataclass(frozen=True)
class BackboneSpec:
    """Inputs and outputs of a backbone.

    Raises:
        ConfigError: action_dim, chunk_size or joint_names do not fit the components or the state.
    """

    name: str
    """Name to show."""
    cameras: tuple[str, ...]
    """Names of the images that it needs."""
    image_size: tuple[int, int]
    """Height and width to which it scales the images [px]."""
    joint_names: tuple[str, ...]
    """Order of joint_positions: names of joints, or of the axes of a measured pose. Absolute joint targets have
    the same order."""
    feature_dim: int
    """Length of the feature vector."""
    chunk_size: int
    """Actions in a chunk [1]."""
    action_dim: int
    """Columns of an action [1]."""
    n_action_steps: int
    """Actions of a chunk to use before the next observation [1]."""
    seconds_per_action: float
    """Time between two actions [s]."""
    backbone_hash: str
    """SHA-256 of the weights, hex; a memory trained for other weights refuses the steps."""
    components: tuple[ActionComponent, ...] = ()
    """What the columns of an action mean; empty: absolute joint targets in the units of the robot file."""
    state: StateSpec | None = None
    """Named parts of the measured values of joint_names; None: joint positions alone."""

    def __post_init__(self) -> None:
        if self.action_spec.dims != self.action_dim:
            raise ConfigError(
                f'action_dim = {self.action_dim}: must be {self.action_spec.dims}, the columns of '
                f'{self.action_spec.text}; correct one of the two'
            )
        self.state_spec.check_measured(len(self.joint_names))

    @cached_property
    def action_spec(self) -> ActionSpec:
        """Meaning of the columns of an action, and the timing of a chunk."""
        components = self.components or (absolute_joints(self.action_dim),)
        return ActionSpec(components, self.chunk_size, self.n_action_steps, self.seconds_per_action)

    @cached_property
    def state_spec(self) -> StateSpec:
        """Parts of the measured state."""
        return self.state or StateSpec.joints(len(self.joint_names))

    @cached_property
    def joints_in_degrees(self) -> frozenset[str]:
        """Joints that the backbone reads in degrees. Drivers measure radians."""
        found: list[str] = []
        begin = 0
        for part in self.state_spec.parts:
            if (part.kind, part.unit) == ('joint', 'deg'):
                found += self.joint_names[begin : begin + part.measured]
            begin += part.measured
        return frozenset(found)

    @property
    def action_names(self) -> tuple[str, ...]:
        """Name of each column of an action: that of the joint, or of the component with a number from 0."""
        if self.action_spec.is_absolute_joints and self.action_dim <= len(self.joint_names):
            return self.joint_names[: self.action_dim]
        return tuple(
            component.name if component.dims == 1 else f'{component.name}_{place}'
            for component in self.action_spec.components
            for place in range(component.dims)
        )

    def observation(
        self, images: Mapping[str, NDArray[np.uint8]], measured: NDArray[np.float32], instruction: str
    ) -> Observation:
        """Return the observation of one set of inputs, with the parts of the state.

        Args:
            images: see `Observation`.
            measured: values of joint_names in order, float32 [J]; a rotation as a rotation vector.
            instruction: the task in words.
        """
        return Observation(images, measured, instruction, split_state(self.state_spec, measured))


@dataclass(frozen=True)
class VlaOutput:
    """Output for one observation."""

    features: NDArray[np.float32]
    """The feature vector z that a memory reads, float32 [feature_dim]."""
    actions: NDArray[np.float32]
    """Actions in physical units, float32 [chunk_size, action_dim]; the spec's components give their meaning.

    Action i applies from i to i+1 times the spec's seconds_per_action after the observation.
    """


class Backbone(Protocol):
    """A frozen backbone; the same observation always yields the same output."""

    @property
    def spec(self) -> BackboneSpec:
        """Inputs and outputs."""

    def infer(self, observation: Observation) -> VlaOutput:
        """Run the backbone once.

        Raises:
            InputError: an input is missing, has the wrong shape or is not finite.
        """


def split_state(spec: StateSpec, measured: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Return the parts of the measured values, float32 [dims] each; a rotation in the form of its part.

    Raises:
        InputError: a rotation is not finite.
    """
    found: dict[str, NDArray[np.float32]] = {}
    begin = 0
    for part in spec.parts:
        values = measured[begin : begin + part.measured]
        begin += part.measured
        if part.kind == 'ee_rotation' and part.rotation != 'axis_angle':
            values = from_matrix(part.rotation, to_matrix('axis_angle', values)).astype(np.float32)
        found[part.name] = values
    return found
