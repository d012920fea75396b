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
from aura_ros.common.state_spec import StateSpec


@dataclass(frozen=True)
class Observation:
    """One synchronised set of inputs."""

    images: Mapping[str, NDArray[np.uint8]]
    """By camera, for every camera of the spec: RGB, uint8 [H, W, 3], any size."""
    joint_positions: NDArray[np.float32]
    """Measured, in the order of the spec's joint_names, float32 [J] [rad, m]."""
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
