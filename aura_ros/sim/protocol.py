# SPDX-License-Identifier: Apache-2.0
"""The interface between sim_node and a simulation; `Simulation` implements it, and so may a simulation of yours."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aura_ros.sim.tasks import Event


class RobotSimulation(Protocol):
    """One episode of a simulated robot. All calls come from one thread."""

    dt: float
    """Control period [s]."""
    joint_names: Sequence[str]
    instruction: str
    """Present instruction in words."""
    initial_events: Iterable[Event]
    """Events at the start of the episode."""
    done: bool
    """Whether the episode has ended."""

    @property
    def time(self) -> float:
        """Simulation time [s], from 0."""

    @property
    def joint_positions(self) -> NDArray[np.float64]:
        """Measured joint positions, in the order of `joint_names` [rad, m]."""

    @property
    def joint_velocities(self) -> NDArray[np.float64]:
        """Measured joint velocities [rad/s, m/s]."""

    def step(self, target: NDArray[np.float64]) -> Iterable[Event]:
        """Advance one control period towards the joint targets, and return the events."""

    def render(self, camera: str) -> NDArray[np.uint8]:
        """Return an image of the camera 'front' or 'wrist': uint8 [height, width, 3], RGB."""

    def close(self) -> None:
        """Free all resources."""
