# SPDX-License-Identifier: Apache-2.0
"""The interface of a frozen vision-language-action backbone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Observation:
    """One synchronised set of inputs."""

    images: Mapping[str, NDArray[np.uint8]]
    """By camera, for every camera of the spec: RGB, uint8 [H, W, 3], any size."""
    joint_positions: NDArray[np.float32]
    """Measured, in the order of the spec's joint_names, float32 [J] [rad, m]."""
    instruction: str
    """The task in words."""


@dataclass(frozen=True)
class BackboneSpec:
    """Inputs and outputs of a backbone."""

    name: str
    """Name to show."""
    cameras: tuple[str, ...]
    """Names of the images that it needs."""
    image_size: tuple[int, int]
    """Height and width to which it scales the images [px]."""
    joint_names: tuple[str, ...]
    """Order of joint_positions and of the columns of an action."""
    feature_dim: int
    """Length of the feature vector."""
    chunk_size: int
    """Actions in a chunk [1]."""
    action_dim: int
    """Joints that an action commands [1]."""
    n_action_steps: int
    """Actions of a chunk to use before the next observation [1]."""
    seconds_per_action: float
    """Time between two actions [s]."""
    backbone_hash: str
    """SHA-256 of the weights, hex; a memory trained for other weights refuses the steps."""


@dataclass(frozen=True)
class VlaOutput:
    """Output for one observation."""

    features: NDArray[np.float32]
    """The feature vector z that a memory reads, float32 [feature_dim]."""
    actions: NDArray[np.float32]
    """Absolute joint targets, float32 [chunk_size, action_dim] [rad, m].

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
