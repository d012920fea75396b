# SPDX-License-Identifier: Apache-2.0
"""What a frozen vision-language-action backbone is to the rest of the package.

Observation
    images           {camera: uint8 [H, W, 3] RGB}, every camera of the spec, any size
    joint_positions  float32 [J], measured, in the order of spec.joint_names [rad, m]
    instruction      what to do, in words
VlaOutput
    features         float32 [feature_dim], z: what a memory may read
    actions          float32 [chunk_size, action_dim], absolute joint targets [rad, m]; action i is in
                     force from i to i+1 times spec.seconds_per_action after the observation
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Observation:
    """One synchronised set of inputs; see the module's docstring for shapes and units."""

    images: Mapping[str, NDArray[np.uint8]]
    joint_positions: NDArray[np.float32]
    instruction: str


@dataclass(frozen=True)
class BackboneSpec:
    """What a backbone needs and gives.

    name: for people.
    cameras: names of the images it needs.
    image_size: height and width the pictures are brought to [px].
    joint_names: order of joint_positions and of the columns of an action.
    feature_dim: length of z.
    chunk_size: actions in a chunk.
    action_dim: joints an action commands.
    n_action_steps: actions of a chunk to use before the next observation.
    seconds_per_action: time between two actions [s].
    backbone_hash: SHA-256 of the weights, hex; a memory trained for other weights is refused.
    """

    name: str
    cameras: tuple[str, ...]
    image_size: tuple[int, int]
    joint_names: tuple[str, ...]
    feature_dim: int
    chunk_size: int
    action_dim: int
    n_action_steps: int
    seconds_per_action: float
    backbone_hash: str


@dataclass(frozen=True)
class VlaOutput:
    """Features and base actions; see the module's docstring for shapes and units."""

    features: NDArray[np.float32]
    actions: NDArray[np.float32]


class Backbone(Protocol):
    """A frozen backbone: the same observation always gives the same output."""

    @property
    def spec(self) -> BackboneSpec:
        """What it needs and gives."""
        ...

    def infer(self, observation: Observation) -> VlaOutput:
        """Run the backbone once.

        Raises:
            InputError: if an input is missing, has the wrong shape or is not finite.

        """
        ...
